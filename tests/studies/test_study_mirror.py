"""MLflow: a parent run for a study, its runs below it; and no harm where it cannot be reached."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import Pretend

from spantune.config import TrainConfig
from spantune.reports import Report
from spantune.studies import compare
from spantune.studies.worker_process import Outcome
from spantune.tracking.trackers import trackers_of

pytestmark = pytest.mark.usefixtures("no_plots")


class Mirrored(Pretend):
    """Begins the MLflow run of each run, as training does."""

    def carry_out(self, config: TrainConfig) -> Outcome:
        outcome = super().carry_out(config)
        for tracker in trackers_of(config):
            tracker.start({})
            assert tracker.problem is None
        return outcome


def test_a_parent_run_with_a_child_a_cell(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run was finished before, without MLflow: a note says that it is not shown."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Report, "write", lambda report: (report.folder / "report.html").write_text("<p>"))
    config = study(mlflow=True, methods=("lora",), sweep=("learning-rate",), sweep_extend=0)
    compare(replace(config, mlflow=False), lambda text: None, Pretend())
    shutil.rmtree(tmp_path / "study" / "lora-0")
    shutil.rmtree(tmp_path / "study" / "sweep" / "lora-learning-rate-0.001")
    result = compare(config, lambda text: None, Mirrored())
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/study/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("spantune").experiment_id])
    parents = [one for one in found if one.data.tags.get("spantune") == "study"]
    (parent,) = parents
    assert (parent.info.run_name, parent.info.status) == ("study", "FINISHED")
    assert parent.data.metrics == {"f1 lora": 50.0} and parent.data.params["methods"] == '["lora"]'
    children = [one for one in found if one.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(one.info.run_name for one in children) == [
        *("lora-0", "lora-learning-rate-0.001"),
    ]
    (note,) = [one for one in result.notes if "without MLflow" in one]
    assert note.endswith("sweep/lora-learning-rate-0.0005, sweep/lora-learning-rate-0.002")
    assert {one.path for one in client.list_artifacts(parent.info.run_id)} == {
        *("study.json", "table.md", "table.csv", "report.html"),
    }
    assert not (tmp_path / "study" / "sweep" / "mlflow.db").exists(), "one store for all"

    result = compare(config, lambda text: None, Mirrored())
    assert result.records[0].config["parent_run"] == parent.info.run_id
    again = client.search_runs([parent.info.experiment_id], "tags.spantune = 'study'")
    assert [one.info.run_id for one in again] == [parent.info.run_id], "the same study, the same run"
    assert json.loads((tmp_path / "study" / "mlflow.json").read_text())["run_id"] == parent.info.run_id


def test_a_server_that_is_away_costs_one_warning(study: Any, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow")
    address = "http://me:secret@127.0.0.1:9"
    with caplog.at_level(logging.WARNING):
        result = compare(study(mlflow=True, tracking_uri=address), lambda text: None, Pretend())
    assert result.status == "finished" and all(one.status == "finished" for one in result.records)
    assert [one for one in caplog.messages if "does not follow the study" in one and "secret" not in one]
    assert len(caplog.messages) == 1
