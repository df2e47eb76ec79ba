"""MLflow kept quiet and short of patience: nothing that it does may disturb or hold up a run."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
