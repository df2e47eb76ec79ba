"""A mirror of the run in MLflow: one MLflow run a training run. The run folder is whole without it.

Whatever goes wrong here costs one warning and never the run. mlflow is imported only when tracking is on.
"""

from __future__ import annotations

import getpass
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spantune
from spantune.config import TrainConfig
from spantune.methods import get
from spantune.runs import History, RunFolder, RunRecord
from spantune.runs.atomic_files import TEMPORARY
from spantune.tracking import client as mlflow_client
from spantune.tracking.client import STATUS, Guard, as_text, earlier_run, log_params, quiet, remember

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_METRICS_AT_ONCE = 500
_FLUSH_SECONDS = 10.0
_REQUIRED = ("torch", "transformers", "peft", "datasets", "numpy", "pandas")


class Tracking:
    """The mirror of one run; `Tracking.start` makes it.

    Attributes:
        run_id: of the MLflow run, or None where there is no mirror.
    """

    def __init__(self, folder: RunFolder, uri: str) -> None:
        self.folder, self.uri = folder, uri
        self._guarded = Guard(uri, "run")
        self.run_id: str | None = None
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._waiting: list[Metric] = []
        self._logged: set[tuple[str, int]] = set()
        self._flushed_at = time.monotonic()

    @property
    def problem(self) -> str | None:
        """Why the mirror is missing or incomplete, or None. It has been logged as a warning."""
        return self._guarded.problem

    @classmethod
    def start(cls, config: TrainConfig, folder: RunFolder, params: Mapping[str, Any]) -> Tracking:
        """Begin to mirror, or go on with the MLflow run that `folder` belongs to where it is resumed.

        Args:
            params: all resolved parameters; values too long for MLflow are cut and whole in its `params.json`.
        """
        tracking = cls(folder, config.tracking_uri or mlflow_client.local_store(folder.path))
        if config.mlflow:
            with tracking._guarded(seconds=5):
                tracking._open(config, params)
        return tracking

    def log_metrics(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Metrics of one step; they are sent in batches. What was logged before a resumption is not logged twice."""
        if self._client is None:
            return
        self._collect(metrics, step)
        due = time.monotonic() - self._flushed_at > _FLUSH_SECONDS or len(self._waiting) >= _METRICS_AT_ONCE
        if due and self.problem is None:
            with self._guarded():
                self._flush()

    def finish(self, record: RunRecord) -> None:
        """Mirror the final state, whatever it is: metrics, files, the model of a finished run, the true status."""
        if self._client is None:
            return
        complete = False
        with self._guarded():  # also after a failure: a server that was away for a while gets everything now
            self._flush()
            self._log_totals(record)
            with quiet(seconds=60):  # large files take a server its time
                self._log_files(record)
                # A sweep's point only helps to choose, and a floor has learned nothing: neither is a version.
                if record.status == "finished" and record.trained and record.config.get("score_reported", True):
                    self._log_model(record)
            complete = True
        with self._guarded(seconds=5):
            client, run_id = self._opened()
            for key, value in (("reason", record.reason), ("mirror_incomplete", None if complete else self.problem)):
                if value:
                    client.set_tag(run_id, key, value[:5000])
            client.set_terminated(run_id, STATUS[record.status])

    def log_history(self) -> None:
        """Everything that the run has logged so far, as far as MLflow has not got it."""
        if self._client is not None:
            with self._guarded():
                self._collect_history()
                self._flush()

    def adopted_by(self, parent: str | None) -> bool:
        """Put the MLflow run that mirrors this one below another parent; False where there is none in this store."""
        with self._guarded():
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            run = earlier_run(client, self.uri, self.folder.tracking)
            if run is None:
                return False
            if parent and run.data.tags.get("mlflow.parentRunId") != parent:
                client.set_tag(run.info.run_id, "mlflow.parentRunId", parent)
        return True

    # Start

    def _open(self, config: TrainConfig, params: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        with mlflow_client.tables_made_quickly(self.uri):
            run = earlier_run(client, self.uri, self.folder.tracking)
            found = run.info.experiment_id if run else mlflow_client.experiment_id(client, self.uri, config.experiment)
        self._experiment_id = found
        if run is None:
            run = client.create_run(self._experiment_id, run_name=self.folder.path.name, tags=_tags(config))
            remember(self.folder.tracking, self.uri, run.info.run_id)
        else:
            client.update_run(run.info.run_id, status="RUNNING")
            self._read_logged(client, run)
        self._client, self.run_id = client, run.info.run_id
        client.log_dict(run.info.run_id, {key: as_text(value) for key, value in params.items()}, "params.json")
        log_params(client, run, params)
        self._flush()

    def _read_logged(self, client: MlflowClient, run: Run) -> None:
        """What MLflow has already; a killed run may have left lines of the history that it never got."""
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            self._logged |= {(key, metric.step) for metric in history}
        self._collect_history()

    def _collect_history(self) -> None:
        for row in History(self.folder.history).read():
            self._collect({key: value for key, value in row.items() if key != "step"}, row["step"])

    # Metrics

    def _collect(self, metrics: Mapping[str, float | None], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for key, value in metrics.items():
            if value is not None and (key, step) not in self._logged:
                self._logged.add((key, step))
                self._waiting.append(Metric(key, float(value), now, step))

    def _flush(self) -> None:
        client, run_id = self._opened()
        while self._waiting:
            client.log_batch(run_id, metrics=self._waiting[:_METRICS_AT_ONCE])
            del self._waiting[:_METRICS_AT_ONCE]
        self._flushed_at = time.monotonic()

    # End

    def _log_totals(self, record: RunRecord) -> None:
        """Single numbers, at the last step; the selection split's are those of the weights that were kept."""
        timings, counted = record.timings, record.parameters
        totals: dict[str, float | None] = {
            "train_seconds": timings.train_seconds,
            "eval_seconds": timings.eval_seconds,
            "wall_seconds": timings.wall_seconds,
            "examples_per_second": timings.examples_per_second,
            "trainable_parameters": counted.trainable if counted else None,
            "total_parameters": counted.total if counted else None,
            "adapter_bytes": record.adapter_bytes,
            "peak_memory_bytes": record.peak_memory_bytes,
            "peak_gpu_memory_bytes": record.peak_gpu_memory_bytes,
        }
        for name, metrics in record.metrics.items():
            prefix = "best_selection" if name == "selection" else name.replace("+", "_")  # which MLflow refuses
            totals |= {f"{prefix}_{key}": value for key, value in metrics.items()}
        for form, speed in record.answering.items():
            totals |= {f"{form}_{key}": value for key, value in asdict(speed).items()}
        known = {key: value for key, value in totals.items() if value is not None and math.isfinite(value)}
        self._logged -= {(key, record.steps) for key in known}  # a second part of the run corrects the first
        self._collect(known, record.steps)
        self._flush()

    def _log_files(self, record: RunRecord) -> None:
        client, run_id = self._opened()
        folder = self.folder
        files = (folder.record, folder.config, folder.history, folder.predictions, folder.n_best, folder.null_odds)
        for file in files:
            if file.is_file():
                client.log_artifact(run_id, str(file))
        # A whole encoder is large, and the logged model holds it already.
        whole = record.status == "finished" and get(record.method).whole_encoder
        for inner in (folder.plots,) if whole else (folder.plots, folder.adapter):
            if inner.is_dir():
                client.log_artifacts(run_id, str(inner), inner.name)

    def _log_model(self, record: RunRecord) -> None:
        """A pyfunc model with the adapter, ready to load, registered as the next version of `spantune-<method>`."""
        import mlflow
        from mlflow.entities import LoggedModelOutput
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model

        client, run_id = self._opened()
        tags = {"method": record.method, "model": record.model}
        model = client.create_logged_model(self._experiment_id, name="model", source_run_id=run_id, tags=tags)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=record.steps)])
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self.folder.path) as temporary:
            path = Path(temporary) / "model"
            mlflow.pyfunc.save_model(
                path=str(path),
                python_model=str(Path(__file__).with_name("logged_model.py")),
                artifacts={"adapter": str(self.folder.adapter)},
                signature=_signature(),
                pip_requirements=_requirements(),  # named, or MLflow would load the model to find out
                mlflow_model=Model(
                    artifact_path=model.artifact_location,
                    model_uuid=model.model_id,
                    run_id=run_id,
                    model_id=model.model_id,
                ),
            )
            client.log_model_artifacts(model.model_id, str(path))
        client.finalize_logged_model(model.model_id, "READY")
        name = f"spantune-{record.method}"
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        where = model.artifact_location  # `models:/<id>` would be looked up in MLflow's global store
        client.create_model_version(name, where, run_id, tags=tags, model_id=model.model_id, await_creation_for=0)

    def _opened(self) -> tuple[MlflowClient, str]:
        assert self._client is not None and self.run_id is not None
        return self._client, self.run_id


def _tags(config: TrainConfig) -> dict[str, str]:
    tags = {"method": config.method, "model": config.model, "seed": str(config.seed)}
    tags |= {"mlflow.source.type": "LOCAL", "mlflow.source.name": Path(sys.argv[0]).name or "spantune"}
    if config.parent_run:
        tags["mlflow.parentRunId"] = config.parent_run
    with suppress(Exception):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    wanted: list[Any] = [ColSpec(DataType.string, name) for name in ("question", "context")]
    kinds = {"answer": DataType.string, "probability": DataType.double, "start": DataType.long, "end": DataType.long}
    given: list[Any] = [ColSpec(kind, name) for name, kind in kinds.items()]
    return ModelSignature(Schema(wanted), Schema(given))


def _requirements() -> list[str]:
    """What the model needs, at the versions that made it, without a build's own suffix (`2.13.0+cpu`)."""
    pins = [f"spantune=={spantune.__version__}"]
    for name in _REQUIRED:
        with suppress(metadata.PackageNotFoundError):
            pins.append(f"{name}=={metadata.version(name).partition('+')[0]}")
    return pins
