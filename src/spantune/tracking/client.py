"""What the MLflow mirrors of runs and studies share. Nothing here may stop or hold up what it mirrors."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from spantune.config import TrackingConfig
from spantune.runs import without_password, write_json_atomic
from spantune.runs.folder import MLFLOW, sqlite_uri
from spantune.runs.record import Status

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_log = logging.getLogger(__name__)
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "died": "KILLED", "running": "RUNNING"}
_FLUSH_SECONDS = 10.0
_QUIET = {
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@contextmanager
def quiet(*, seconds: int = 10, retries: int = 1) -> Iterator[None]:
    """Keep MLflow from writing to the console and from waiting long; restore the environment and logging afterwards.

    Args:
        seconds: to wait for a server's answer. retries: after the first attempt. A user's own `MLFLOW_…` values win.
    """
    before, disabled = dict(os.environ), logging.root.manager.disable
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries)}
    os.environ.update({**_QUIET, **limits, **before})
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
        for key in os.environ.keys() - before.keys():
            del os.environ[key]
        os.environ.update(before)


class Mirror:
    """One MLflow run that mirrors a folder: a run's, or a study's.

    Args:
        kind: what is mirrored, in a word. store: the folder of the default store, an SQLite file.

    Attributes:
        run_id, experiment_id: of the MLflow run; empty until it is open.
        problem: the first failure, or None.
    """

    def __init__(self, kind: str, config: TrackingConfig, folder: Path, store: Path, tags: Mapping[str, str]) -> None:
        self.kind, self.folder, self.tags = kind, folder, tags
        self.uri = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(store / "mlflow.db")
        self.run_id = self.experiment_id = ""
        self.problem: str | None = None
        self._config = config
        self._waiting: list[Metric] = []
        self._sent_before = -1
        self._flushed_at = time.monotonic()

    @property
    def passed_on(self) -> Mapping[str, Any]:
        return {"tracking_uri": self.uri, "parent_run": self.run_id or self._config.parent_run}

    def start(self, params: Mapping[str, Any]) -> None:
        """Open the run of an earlier call, or a new one. MLflow cuts values that are too long."""
        self._attempt(self._open, {key: _as_text(value) for key, value in params.items()}, seconds=5)

    def log_metrics(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Metrics of one step, sent in batches; not those of steps that MLflow has from before a resumption."""
        if not self.run_id or step <= self._sent_before:
            return
        self._collect(metrics, step)
        if self.problem is None and time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
            self._attempt(self._flush)

    def finish(self, status: Status, reason: str | None = None) -> None:
        """Send the rest, also after a failure (the server may be back), and the true status."""
        if self.run_id:
            complete = self._attempt(self._flush) and self._attempt(self._log_result, status, seconds=60)
            tags = {"reason": reason, "mirror_incomplete": None if complete else self.problem}
            self._attempt(self._close, status, tags, seconds=5)

    def _log_result(self, status: Status) -> None:
        """Send what the folder holds at the end."""
        raise NotImplementedError

    def _attempt(self, action: Callable[..., None], *arguments: Any, seconds: int = 10) -> bool:
        """Whether MLflow did it. The first failure becomes `problem` and a warning."""
        try:
            with quiet(seconds=seconds, retries=0 if self.problem else 1):
                action(*arguments)
            return True
        except Exception as error:  # whatever the reason, what is mirrored continues
            if self.problem is None:
                address = without_password(self.uri)
                lines = str(error).strip().splitlines() or [type(error).__name__]
                self.problem = lines[0].replace(self.uri, address)[:300]
                goes_on = f"The {self.kind} continues; its folder holds everything."
                _log.warning("MLflow at %s does not follow the %s: %s. %s", address, self.kind, self.problem, goes_on)
            return False

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _open(self, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param
        from mlflow.tracking.context.registry import resolve_tags

        file = self.folder / MLFLOW
        run = earlier_run(self._client, self.uri, file)
        if run is None:
            parent = {"mlflow.parentRunId": self._config.parent_run} if self._config.parent_run else {}
            experiment = _experiment_id(self._client, self.uri, self._config.experiment)
            tags = resolve_tags({**self.tags, **parent})
            run = self._client.create_run(experiment, run_name=self.folder.name, tags=tags)
            write_json_atomic(file, {"tracking_uri": without_password(self.uri), "run_id": run.info.run_id})
        else:
            self._client.update_run(run.info.run_id, status="RUNNING")
        self.run_id, self.experiment_id = run.info.run_id, run.info.experiment_id
        new = [Param(key, value) for key, value in params.items() if key not in run.data.params]
        self._client.log_batch(self.run_id, params=new)

    def _collect(self, metrics: Mapping[str, float | None], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(key, float(value), now, step) for key, value in metrics.items() if value is not None]

    def _flush(self) -> None:
        self._client.log_batch(self.run_id, metrics=self._waiting)
        self._waiting = []
        self._flushed_at = time.monotonic()

    def _log_files(self, *paths: Path) -> None:
        """Send the files and folders that exist."""
        for path in paths:
            if path.is_dir():
                self._client.log_artifacts(self.run_id, str(path), path.name)
            elif path.is_file():
                self._client.log_artifact(self.run_id, str(path))

    def _close(self, status: Status, tags: Mapping[str, str | None]) -> None:
        for key, value in tags.items():
            if value:
                self._client.set_tag(self.run_id, key, value[:5000])
        self._client.set_terminated(self.run_id, _STATUS[status])


def earlier_run(client: MlflowClient, uri: str, file: Path) -> Run | None:
    """The MLflow run that `file` names, if it is in this store and not deleted.

    Raises:
        MlflowException: the server could not say.
    """
    from mlflow.exceptions import MlflowException

    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        run = client.get_run(known["run_id"]) if known["tracking_uri"] == without_password(uri) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return run if run is not None and run.info.lifecycle_stage == "active" else None


def _experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment's id; it is created if it is missing. Artifacts of an SQLite store are beside its file."""
    from mlflow.exceptions import MlflowException

    if (experiment := client.get_experiment_by_name(name)) is None:
        file = Path(unquote(uri.removeprefix("sqlite:///")))
        place = (file.resolve().parent / "mlartifacts").as_uri() if uri.startswith("sqlite:///") else None
        with suppress(MlflowException):  # another run that starts now may have created it
            return client.create_experiment(name, artifact_location=place)
        experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return experiment.experiment_id


def _as_text(value: Any) -> str:
    return without_password(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
