"""What the mirrors of a run and of a study share, with a client that is made up."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spantune.tracking.client import Guard, earlier_run, log_params, remember

mlflow = pytest.importorskip("mlflow")

STORE = "http://me:secret@mlflow.example"


class Client:
    """Knows one run, or raises what it is told to."""

    def __init__(self, stage: str = "active", error: Exception | None = None) -> None:
        self.stage, self.error = stage, error
        self.sent: list[list[Any]] = []

    def get_run(self, run_id: str) -> Any:
        if self.error is not None:
            raise self.error
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id, lifecycle_stage=self.stage))

    def log_batch(self, run_id: str, params: list[Any]) -> None:
        self.sent.append(params)


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
    remember(file, STORE, "a1")
    assert "secret" not in file.read_text(encoding="utf-8")
    assert found(Client(), STORE, file) == "a1"
    assert found(Client(), "http://another.example", file) is None
    assert found(Client(stage="deleted"), STORE, file) is None
    assert found(Client(error=refused("RESOURCE_DOES_NOT_EXIST")), STORE, file) is None
    for text in ("", "[]", "{}"):
        file.write_text(text, encoding="utf-8")
        assert found(Client(), STORE, file) is None


def test_a_server_that_cannot_say_gets_no_second_run(tmp_path: Path) -> None:
    remember(tmp_path / "mlflow.json", STORE, "a1")
    with pytest.raises(Exception, match="no"):
        found(Client(error=refused("TEMPORARILY_UNAVAILABLE")), STORE, tmp_path / "mlflow.json")


def test_parameters_that_the_run_lacks_are_sent_by_the_hundred() -> None:
    client, run = Client(), SimpleNamespace(info=SimpleNamespace(run_id="a1"), data=SimpleNamespace(params={"k0": "0"}))
    log_params(client, run, {f"k{number}": number for number in range(151)})  # type: ignore[arg-type]
    assert [len(part) for part in client.sent] == [100, 50]
    assert (client.sent[0][0].key, client.sent[0][0].value) == ("k1", "1")


def test_a_guard_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(STORE, "study")
    with caplog.at_level(logging.WARNING):
        for said in (f"{STORE} is away\nfor long", "still away"):
            with guard():
                raise OSError(said)
    assert guard.problem is not None and guard.problem.endswith("mlflow.example is away")
    (warning,) = caplog.messages
    assert "does not follow the study: " in warning and "The study goes on" in warning and "secret" not in warning
