"""Mirrors a run in MLflow: its parameters, metrics, files and model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from spantune.config import TrainConfig
from spantune.methods import get
from spantune.runs import History, RunFolder, RunRecord
from spantune.runs.record import Status
from spantune.tracking.client import Mirror

_REQUIRED = ("spantune", "torch", "transformers", "peft", "datasets", "numpy", "pandas")


class RunMirror(Mirror):
    """The mirror of one run: what MLflow shows of it is read from its folder."""

    def __init__(self, config: TrainConfig) -> None:
        self.folder = RunFolder(Path(config.output))
        tags = {"method": config.method, "model": config.model, "seed": str(config.seed)}
        super().__init__("run", config, self.folder.path, self.folder.path.resolve().parent, tags)

    def _open(self, params: Mapping[str, str]) -> None:
        super()._open(params)
        client, run_id = self._opened()
        client.log_dict(run_id, dict(params), "params.json")  # whole, however long
        logged = (client.get_metric_history(run_id, key) for key in ("loss", "selection_loss"))
        self._sent_before = max((metric.step for history in logged for metric in history), default=-1)
        for row in History(self.folder.history).read():  # a killed run had not sent all of it
            self.log_metrics({key: value for key, value in row.items() if key != "step"}, row["step"])
        self._flush()

    def _log_result(self, status: Status) -> None:
        record = RunRecord.read(self.folder.path)
        self._collect(_totals(record), record.steps)
        self._flush()
        self._log_files(record)
        # A sweep's point only helps to choose, and a floor has learned nothing: neither is a version.
        if status == "finished" and record.trained and record.config.get("score_reported", True):
            self._log_model(record)

    def _log_files(self, record: RunRecord) -> None:
        client, run_id = self._opened()
        folder = self.folder
        for file in (folder.record, folder.config, folder.history, folder.predictions, folder.n_best, folder.null_odds):
            if file.is_file():
                client.log_artifact(run_id, str(file))
        # A whole encoder is large, and the logged model holds it already.
        whole = record.status == "finished" and get(record.method).whole_encoder
        for inner in (folder.plots,) if whole else (folder.plots, folder.adapter):
            if inner.is_dir():
                client.log_artifacts(run_id, str(inner), inner.name)

    def _log_model(self, record: RunRecord) -> None:
        """Log a pyfunc model that holds the adapter, as the next version of `spantune-METHOD`."""
        import mlflow
        import pandas as pd
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model, infer_signature

        client, run_id = self._opened()
        tags = dict(self._tags)
        model = client.create_logged_model(self._experiment_id, name="model", source_run_id=run_id, tags=tags)
        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        mlflow.set_tracking_uri(self.uri)
        try:
            Model.log(
                None,
                flavor=mlflow.pyfunc,
                model_id=model.model_id,
                run_id=run_id,
                step=record.steps,
                python_model=str(Path(__file__).with_name("logged_model.py")),
                artifacts={"adapter": str(self.folder.adapter)},
                signature=infer_signature(
                    pd.DataFrame([{"question": "", "context": ""}]),
                    pd.DataFrame([{"answer": "", "probability": 0.0, "start": 0, "end": 0}]),
                ),
                pip_requirements=_requirements(),  # without them MLflow loads the model to find out
            )
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None unsets it
        name, place = f"spantune-{record.method}", model.artifact_location
        with suppress(MlflowException):  # an earlier run has registered the name
            client.create_registered_model(name)
        client.create_model_version(name, place, run_id, tags=tags, model_id=model.model_id, await_creation_for=0)


def _totals(record: RunRecord) -> dict[str, float | None]:
    """Single numbers of a run; those of the selection split are of the weights that were kept."""
    totals: dict[str, float | None] = {
        **asdict(record.timings),
        **{f"{key}_parameters": getattr(record.parameters, key, None) for key in ("trainable", "total")},
        **{key: getattr(record, key) for key in ("adapter_bytes", "peak_memory_bytes", "peak_gpu_memory_bytes")},
    }
    for name, metrics in record.metrics.items():
        prefix = "best_selection" if name == "selection" else name.replace("+", "_")  # which MLflow refuses
        totals |= {f"{prefix}_{key}": value for key, value in metrics.items()}
    for form, speed in record.answering.items():
        totals |= {f"{form}_{key}": value for key, value in asdict(speed).items()}
    return totals


def _requirements() -> list[str]:
    """What the model needs, at the versions that made it, without a build's own suffix (`2.13.0+cpu`)."""
    pins = []
    for name in _REQUIRED:
        with suppress(metadata.PackageNotFoundError):
            pins.append(f"{name}=={metadata.version(name).partition('+')[0]}")
    return pins
