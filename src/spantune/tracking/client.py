"""What the mirrors of a run and of a study share: MLflow kept quiet and short of patience, its failures turned into one
warning, the run of an earlier call, parameters that it takes. Nothing that it does may disturb or hold up a run."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.runs import without_password, write_json_atomic

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_log = logging.getLogger(__name__)
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "running": "RUNNING"}
"""A record's status as MLflow says it."""
_PARAMETER_LENGTHS = (6000, 500, 250)  # characters: MLflow's limit today, and those of older servers
_PARAMETERS_AT_ONCE = 100
_CHATTERING = ("mlflow", "alembic", "urllib3")
_ours: set[str] = set()
"""Environment variables that a surrounding `quiet` has set."""


@contextmanager
def quiet(*, seconds: int = 10, retries: int = 1) -> Iterator[None]:
    """Around every call into MLflow: no chatter on the console, no long waits; what is changed is put back.

    Args:
        seconds: that a server may be silent. retries: after the first attempt. A user's own `MLFLOW_…` values win.
    """
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    ours = {key: value for key, value in wanted.items() if key not in os.environ or key in _ours}
    before = {key: os.environ.get(key) for key in ours}
    os.environ.update(ours)
    added = ours.keys() - _ours
    _ours.update(added)
    levels = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow  # noqa: F401  (its import sets its loggers' levels, so it comes first)

            levels = {name: logging.getLogger(name).level for name in _CHATTERING}
            for name in levels:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        _ours.difference_update(added)
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


class Guard:
    """Around whatever a mirror does: what is raised inside becomes `problem` and the mirror's one warning.

    Args:
        uri: of the store. what: is mirrored, in a word: `run`.

    Attributes:
        problem: the first one, or None. It has been logged as a warning.
    """

    def __init__(self, uri: str, what: str) -> None:
        self._uri, self._what = uri, what
        self.problem: str | None = None

    @contextmanager
    def __call__(self, *, seconds: int = 10) -> Iterator[None]:
        """Quiet, too. Ctrl-C passes.

        Args:
            seconds: that a server may be silent.
        """
        try:
            with quiet(seconds=seconds, retries=0 if self.problem else 1):
                yield
        except Exception as error:  # a mirror must not stop what it shows, whatever the reason
            if self.problem is None:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                address = without_password(self._uri)
                self.problem = lines[0].replace(self._uri, address)[:300]
                goes_on = f"The {self._what} goes on; its folder holds everything."
                _log.warning("MLflow at %s does not follow the %s: %s. %s", address, self._what, self.problem, goes_on)


def remember(file: Path, uri: str, run_id: str) -> None:
    """Write down which MLflow run mirrors what stands beside the file."""
    write_json_atomic(file, {"tracking_uri": without_password(uri), "run_id": run_id})


def earlier_run(client: MlflowClient, uri: str, file: Path) -> Run | None:
    """The MLflow run that `remember` wrote down, where it is in this store and still there.

    Raises:
        MlflowException: the server could not say.
    """
    from mlflow.exceptions import MlflowException

    try:
        where = json.loads(file.read_text(encoding="utf-8"))
        if where["tracking_uri"] != without_password(uri):
            return None
        run = client.get_run(where["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def log_params(client: MlflowClient, run: Run, params: Mapping[str, Any]) -> None:
    """Those that the run does not have yet, as texts, cut where they are too long for the server."""
    from mlflow.entities import Param
    from mlflow.exceptions import MlflowException

    texts = {key: as_text(value) for key, value in params.items() if key not in run.data.params}
    for length in _PARAMETER_LENGTHS:
        cut = [Param(key, text if len(text) <= length else text[: length - 1] + "…") for key, text in texts.items()]
        try:
            for begin in range(0, len(cut), _PARAMETERS_AT_ONCE):
                client.log_batch(run.info.run_id, params=cut[begin : begin + _PARAMETERS_AT_ONCE])
            return
        except MlflowException as error:
            too_long = error.error_code == "INVALID_PARAMETER_VALUE" and "length" in str(error)
            if not too_long or length == _PARAMETER_LENGTHS[-1]:
                raise


def as_text(value: Any) -> str:
    """A parameter's value as MLflow gets it."""
    if isinstance(value, str):
        return without_password(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def local_store(folder: Path) -> str:
    """The SQLite store beside a run folder."""
    return f"sqlite:///{(folder.resolve().parent / 'mlflow.db').as_posix()}"


@contextmanager
def tables_made_quickly(uri: str) -> Iterator[None]:
    """While a new SQLite store's tables are made, do not wait for the disk after each of MLflow's many migrations.

    On a busy disk that is 8 seconds without it, 3 with it. A machine that loses power meanwhile loses an empty store.
    """
    if not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).exists():
        yield
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def do_not_wait(connection: Any, _record: Any) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", do_not_wait)
    try:
        yield
    finally:
        event.remove(Engine, "connect", do_not_wait)


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment's id; it is made where it is missing. Artifacts of a SQLite store lie beside its file."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        place = None
        if uri.startswith("sqlite:///"):
            place = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
        try:
            return client.create_experiment(name, artifact_location=place)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # a run that was started at the same time made it
            if found is None:
                raise
    return found.experiment_id
