"""The floor of a study: what the encoder answers before it is adapted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stand_ins import InProcess, Pretend

from spantune.config import CompareConfig
from spantune.runs import RunFolder, RunRecord
from spantune.studies import compare, report_of
from spantune.studies.compare import _mean_f1
from spantune.studies.plan import arms, probe_run
from spantune.training import train
from spantune.web.served_models import _chosen


def test_it_stands_behind_the_methods_of_each_encoder() -> None:
    config = CompareConfig(methods=("lora", "head-only"), models=("a", "b"), floor=True, sweep=("learning-rate",))
    found = [(one.folder, one.method, one.learns, bool(one.parameters)) for one in arms(config)]
    assert found[:3] == [
        ("a-lora", "lora", True, True),
        ("a-head-only", "head-only", True, True),
        ("a-unadapted", "head-only", False, False),
    ]
    assert [folder for folder, *_ in found[3:]] == ["b-lora", "b-head-only", "b-unadapted"]
    assert [probe_run(config, one, Path("x")).epochs for one in arms(config)[:3]] == [1.0, 1.0, 0.0]


@pytest.mark.usefixtures("no_plots")
def test_it_trains_nothing_and_is_not_swept(study: Any) -> None:
    executor = Pretend(lambda config: 50.0 if config.epochs else 20.0)
    sweep = {"sweep": ("learning-rate",), "sweep_examples": 40, "sweep_extend": 0}
    said: list[str] = []
    result = compare(study(methods=("lora", "head-only"), floor=True, **sweep), said.append, executor)
    epochs = {job.name: job.config.epochs for job in executor.ran if not job.name.startswith("sweep")}
    assert epochs == {"lora-0": 1, "head-only-0": 1, "unadapted-0": 0.0}
    assert not [job for job in executor.ran if "unadapted" in job.name and "sweep" in job.name]
    assert [one.folder for one in result.runs] == ["lora-0", "head-only-0", "unadapted-0"]
    assert said[0] == "2 methods and the floor × 1 seed: 3 runs"
    assert not [one for one in said if "differ in their number of runs" in one]
    assert _mean_f1(result) == {"f1 lora": 50.0, "f1 head-only": 50.0, "f1 unadapted": 20.0}
    assert {path.name for path in _chosen(result.folder, {})} == {"lora-0", "head-only-0", "unadapted-0"}


@pytest.mark.usefixtures("no_plots")
def test_it_answers_as_the_run_that_it_begins_with(finished: Any, study: Any, tmp_path: Path) -> None:
    begun = study(methods=("full",), model=str(finished.path), floor=True)
    result = compare(begun, lambda text: None, InProcess())
    floor = tmp_path / "study" / "unadapted-0"
    answers = [json.loads(RunFolder(one).predictions.read_text(encoding="utf-8")) for one in (floor, finished.path)]
    assert answers[0] == answers[1]
    record = RunRecord.read(floor)
    assert (record.label, record.steps, record.timings.train_seconds) == ("Unadapted", 0, 0.0)
    assert record.parameters is not None and record.parameters.trainable == 0
    assert {one.label for one in report_of(result).table.groups} == {"Full fine-tuning", "Unadapted"}


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize(("method", "label"), [("full", "Unadapted"), ("bitfit", "Unadapted"), ("lora", "LoRA")])
def test_a_run_of_no_epochs_by_itself(method: str, label: str, config: Any, tmp_path: Path) -> None:
    record = train(config(epochs=0, method=method))
    assert record.status == "finished" and record.metric("f1") is not None
    assert (tmp_path / "run" / "adapter").is_dir() and record.label == label and not record.trained
