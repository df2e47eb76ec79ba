"""A study in MLflow: one parent run, under which its runs are listed. The study folder is whole without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.config import CompareConfig
from spantune.runs import RunFolder
from spantune.runs.folder import MLFLOW
from spantune.scoring.statistics import estimate
from spantune.studies.plan import FLOOR
from spantune.studies.record import STUDY, FinalRun, Point, StudyRecord
from spantune.studies.run_state import record_in
from spantune.studies.study_recorder import protocol_of
from spantune.tracking import client as mlflow_client
from spantune.tracking.client import STATUS, Guard, earlier_run, log_params, remember

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SHOWN = {".html", ".md", ".csv"}


class StudyTracking:
    """The parent run of a study. Whatever goes wrong here costs one warning and never the study.

    Attributes:
        run_id: of the MLflow run, or None where there is none.
    """

    def __init__(self, config: CompareConfig) -> None:
        self.folder = Path(config.output)
        self.uri = config.tracking_uri or mlflow_client.local_store(self.folder / "any")
        self.run_id: str | None = None
        self._client: MlflowClient | None = None
        self._guarded = Guard(self.uri, "study")

    def start(self, config: CompareConfig) -> None:
        """Begin the run, or go on with that of an earlier call, where the configuration wants it."""
        if config.mlflow:
            with self._guarded():
                self._open(config)

    def adopt(self, study: StudyRecord, experiment: str) -> None:
        """Let all finished runs stand below this one, also those of an earlier call that had no MLflow."""
        if self.run_id is None:
            return
        from spantune.tracking.backfill import mirror

        there: list[Point | FinalRun] = [one for sweep in study.sweeps for one in sweep.points if one.folder]
        for one in (*there, *study.runs):
            record = record_in(self.folder / one.folder)
            if one.status == "finished" and record is not None:
                folder = RunFolder(self.folder / one.folder)
                if mirror(folder, record, uri=self.uri, experiment=experiment, parent=self.run_id):
                    return  # it has been warned of

    def finish(self, study: StudyRecord) -> None:
        """The study's state, good or bad, with its record, report, tables and plots."""
        if self._client is None or self.run_id is None:
            return
        with self._guarded():
            for name, value in _metrics(study).items():
                self._client.log_metric(self.run_id, name, value)
            for path in sorted(study.folder.glob("*.*")):
                if path.name == STUDY or path.suffix in _SHOWN:
                    self._client.log_artifact(self.run_id, str(path))
            if (study.folder / "plots").is_dir():
                self._client.log_artifacts(self.run_id, str(study.folder / "plots"), "plots")
        with self._guarded():
            self._client.set_terminated(self.run_id, STATUS[study.status])

    def _open(self, config: CompareConfig) -> None:
        from mlflow import MlflowClient

        client, file = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri), self.folder / MLFLOW
        with mlflow_client.tables_made_quickly(self.uri):
            run = earlier_run(client, self.uri, file)
            found = run.info.experiment_id if run else mlflow_client.experiment_id(client, self.uri, config.experiment)
        if run is None:
            tags = {"mlflow.source.type": "LOCAL", "spantune": "study"}
            tags |= {"mlflow.parentRunId": config.parent_run} if config.parent_run else {}
            run = client.create_run(found, run_name=self.folder.name, tags=tags)
            remember(file, self.uri, run.info.run_id)
        else:
            client.update_run(run.info.run_id, status="RUNNING")
        self._client, self.run_id = client, run.info.run_id
        log_params(client, run, protocol_of(config))


def _metrics(study: StudyRecord) -> Mapping[str, float]:
    """F1 of every method on every encoder, averaged over its seeds."""
    found: dict[str, list[Any]] = {}
    models = {record.model for record in study.records}
    for record in study.records:
        arm = record.method if record.trained else FLOOR
        name = arm if len(models) == 1 else f"{arm} on {Path(record.model).name}"
        found.setdefault(f"f1 {name}", []).append(record.metric("f1"))
    means = {name: estimate(values) for name, values in found.items()}
    return {name: one.mean for name, one in means.items() if one is not None}
