"""What the mirrors of a run and of a study share, with a client that is made up."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spantune.config import CompareConfig
from spantune.runs import without_password, write_json_atomic
from spantune.runs.folder import sqlite_uri
from spantune.tracking.client import earlier_run
from spantune.tracking.mirrors import StudyMirror

STORE = "http://me:secret@mlflow.example"


class Client:
    """Knows one run, or raises what it is told to."""

    def __init__(self, stage: str = "active", error: Exception | None = None) -> None:
        self.stage, self.error = stage, error

    def get_run(self, run_id: str) -> Any:
        if self.error is not None:
            raise self.error
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id, lifecycle_stage=self.stage))


def remember(file: Path, run_id: str) -> None:
    write_json_atomic(file, {"tracking_uri": without_password(STORE), "run_id": run_id})


def found(client: Client, uri: str, file: Path) -> str | None:
    run = earlier_run(client, uri, file)  # type: ignore[arg-type]
    return None if run is None else run.info.run_id


def refused(code: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2

    error: Exception = MlflowException("no", getattr(databricks_pb2, code))
    return error


def test_an_earlier_run_is_found_in_its_own_store_alone(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.json"
    assert found(Client(), STORE, file) is None
    remember(file, "a1")
    assert found(Client(), STORE, file) == "a1"
    assert found(Client(), "http://another.example", file) is None
    assert found(Client(stage="deleted"), STORE, file) is None
    assert found(Client(error=refused("RESOURCE_DOES_NOT_EXIST")), STORE, file) is None
    for text in ("", "[]", "{}"):
        file.write_text(text, encoding="utf-8")
        assert found(Client(), STORE, file) is None


def test_a_server_that_cannot_say_gets_no_second_run(tmp_path: Path) -> None:
    remember(tmp_path / "mlflow.json", "a1")
    with pytest.raises(Exception, match="no"):
        found(Client(error=refused("TEMPORARILY_UNAVAILABLE")), STORE, tmp_path / "mlflow.json")


def test_a_mirror_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    mirror = StudyMirror(CompareConfig(tracking_uri=STORE))

    def fail(words: str) -> None:
        raise OSError(words)

    with caplog.at_level(logging.WARNING):
        for words in (f"{STORE} is away\nfor long", "still away"):
            assert not mirror._attempt(fail, words)
    assert mirror.problem is not None and mirror.problem.endswith("mlflow.example is away")
    (warning,) = caplog.messages
    assert "does not follow the study: " in warning and "The study continues" in warning and "secret" not in warning


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "what?", "a#b", "é", "100%"])
def test_the_default_store_is_beside_the_runs_whatever_the_folder_is_called(name: str, tmp_path: Path) -> None:
    from sqlalchemy import create_engine, text

    (tmp_path / name).mkdir()
    with create_engine(sqlite_uri(tmp_path / name / "mlflow.db")).connect() as connection:
        connection.execute(text("CREATE TABLE one (number INTEGER)"))
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [Path(name) / "mlflow.db"]


def test_mlflows_own_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", STORE)
    config = CompareConfig(output=str(tmp_path / "study"))
    assert StudyMirror(config).uri == STORE
    flag = CompareConfig(output=str(tmp_path / "study"), tracking_uri="http://flag.example")
    assert StudyMirror(flag).uri == "http://flag.example"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert StudyMirror(config).uri.startswith("sqlite:///")
