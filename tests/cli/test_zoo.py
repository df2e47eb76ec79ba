from __future__ import annotations

import json
from pathlib import Path

import pytest

from spantune import zoo
from spantune.cli.main import main
from spantune.runs import RunRecord
from spantune.runs.record import DataRecord, ParameterCount

RECORD = RunRecord(
    status="finished",
    method="lora",
    label="LoRA",
    model="minilm",
    seed=0,
    adapter_bytes=2_667_504,
    parameters=ParameterCount(664_000, 23_000_000),
    metrics={"reported": {"em": 61.04, "f1": 74.06}},
    data={"reported": DataRecord(("/data/dev.json",), "0", 10)},
)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lora").mkdir()
    RECORD.write(tmp_path / "lora")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    return tmp_path


def test_a_line_an_adapter(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "method", "encoder", "trainable", "size", "EM", "F1", "scored", "on"]
    assert line.split() == ["zoo/lora", "LoRA", "minilm", "664,000", "2.7", "MB", "61.0", "74.1", "dev.json"]


def test_for_programs(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["f1"], row["bytes"]) == ("zoo/lora", 74.06, 2_667_504)


def test_an_empty_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    assert main(["zoo"]) == 0
    assert "without adapters" in capsys.readouterr().out
