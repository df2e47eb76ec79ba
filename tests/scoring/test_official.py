"""The official prediction and null-odds files: what is written reads back, and nothing half-written stays."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from spantune.errors import RunError
from spantune.runs.atomic_files import TEMPORARY
from spantune.scoring.official import write_null_odds, write_predictions
from spantune.scoring.prediction_files import read_null_odds, read_predictions


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    predictions = {"q1": "“東京” café", "q2": ""}
    write_predictions(tmp_path / "new" / "predictions.json", predictions)
    assert read_predictions(tmp_path / "new" / "predictions.json") == predictions
    write_null_odds(tmp_path / "odds.json", {"q1": -1.25, "q2": math.inf})
    odds = read_null_odds(tmp_path / "odds.json")
    assert odds["q1"] == -1.25
    assert odds["q2"] > 1e300
    assert {path.name for path in tmp_path.iterdir()} == {"new", "odds.json"}  # nothing half-written stays


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "odds.json"
    write_null_odds(path, {"q": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        write_null_odds(path, {"q": math.nan})
    assert read_null_odds(path) == {"q": 1.0}
    assert [one.name for one in tmp_path.iterdir()] == ["odds.json"]


def test_what_a_killed_process_leaves_is_known_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`RunFolder` clears away what begins like this; and a file is on the disk before it takes its place."""
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(one.name for one in tmp_path.iterdir()))
    write_predictions(tmp_path / "predictions.json", {"q": "x"})
    write_null_odds(tmp_path / "null_odds.json", {"q": 1.0})
    assert [name.startswith(TEMPORARY) for name in seen if name != "predictions.json"] == [True, True]


def test_a_path_through_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write_predictions(tmp_path / "file" / "predictions.json", {})
