"""The mirrors of a run and of a study in MLflow: parameters, metrics, files and the model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from spantune.config import CompareConfig, TrainConfig
from spantune.methods import get
from spantune.runs import History, RunFolder, RunRecord
from spantune.runs.environment import versions
from spantune.runs.record import Status
from spantune.tracking.client import Mirror


class StudyMirror(Mirror):
    """One MLflow run, below which the study's runs are listed, with the study's record, report, tables and plots."""

    def __init__(self, config: CompareConfig) -> None:
        folder = Path(config.output)
        super().__init__("study", config, folder, folder, {"spantune": "study"})

    def _log_result(self, status: Status) -> None:
        pages = (path for pattern in ("*.html", "*.md", "*.csv") for path in sorted(self.folder.glob(pattern)))
        self._log_files(self.folder / "study.json", *pages, self.folder / "plots")


class RunMirror(Mirror):
    """The mirror of one run: what MLflow shows of it is read from its folder."""

    def __init__(self, config: TrainConfig) -> None:
        folder = Path(config.output)
        tags = {"method": config.method, "model": config.model, "seed": str(config.seed)}
        super().__init__("run", config, folder, folder.resolve().parent, tags)

    def _open(self, params: Mapping[str, str]) -> None:
        super()._open(params)
        self._client.log_dict(self.run_id, dict(params), "params.json")  # whole, however long
        logged = (self._client.get_metric_history(self.run_id, key) for key in ("loss", "selection_loss"))
        self._sent_before = max((metric.step for history in logged for metric in history), default=-1)
        for row in History(RunFolder(self.folder).history).read():  # a killed run had not sent all of it
            self.log_metrics({key: value for key, value in row.items() if key != "step"}, row["step"])
        self._flush()

    def _log_result(self, status: Status) -> None:
        record, folder = RunRecord.read(self.folder), RunFolder(self.folder)
        self._collect(_totals(record), record.steps)
        self._flush()
        self._log_files(folder.record, folder.config, folder.history, folder.predictions, folder.n_best)
        self._log_files(folder.null_odds, folder.plots)
        # A whole encoder is large, and the logged model holds it already.
        if record.status != "finished" or not get(record.method).whole_encoder:
            self._log_files(folder.adapter)
        # A sweep's point only helps to choose, and a floor has learned nothing: neither is a version.
        if status == "finished" and record.trained and record.config.get("score_reported", True):
            self._log_model(record, folder.adapter)

    def _log_model(self, record: RunRecord, adapter: Path) -> None:
        """Log a pyfunc model that holds the adapter, as the next version of `spantune-METHOD`."""
        import mlflow
        import pandas as pd
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model, infer_signature

        tags, run_id = dict(self.tags), self.run_id
        model = self._client.create_logged_model(self.experiment_id, name="model", source_run_id=run_id, tags=tags)
        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
        mlflow.set_tracking_uri(self.uri)
        pins = {name: version.partition("+")[0] for name, version in versions().items() if name != "python"}
        try:
            Model.log(
                None,
                flavor=mlflow.pyfunc,
                model_id=model.model_id,
                run_id=run_id,
                step=record.steps,
                python_model=str(Path(__file__).with_name("logged_model.py")),
                artifacts={"adapter": adapter.resolve().as_uri()},
                signature=infer_signature(
                    pd.DataFrame([{"question": "", "context": ""}]),
                    pd.DataFrame([{"answer": "", "probability": 0.0, "start": 0, "end": 0}]),
                ),
                # without them MLflow loads the model to find out
                pip_requirements=[f"{name}=={version}" for name, version in pins.items()],
            )
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None unsets it
        name, place = f"spantune-{record.method}", model.artifact_location
        with suppress(MlflowException):  # an earlier run has registered the name
            self._client.create_registered_model(name)
        self._client.create_model_version(name, place, run_id, tags=tags, model_id=model.model_id, await_creation_for=0)


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
