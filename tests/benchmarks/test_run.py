"""The command: parts, flags, files, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ours, run
from benchmarks.plan import SHORT, Plan


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries stay as loud as they are for the other tests."""
    monkeypatch.setattr(ours, "quiet", lambda: None)


def test_parts_are_measured_and_written(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run.measure(plan, ["decoding"], tmp_path)
    content = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert list(content["parts"]) == ["decoding"]
    assert content["settings"]["model"] == plan.model
    assert content["precision"]["usual recipe"] == "float32"
    assert content["parts"]["decoding"]["seconds"] > 0
    assert (tmp_path / "cpu.md").read_text(encoding="utf-8") == report.to_markdown()
    assert "decoding ..." in capsys.readouterr().err


def test_flags_change_the_plan() -> None:
    words = ["train", "--model", "bert-base-sized", "--batch-size", "16", "--methods", "full", "--device", "cpu"]
    plan = run._plan(run._parser().parse_args(words))
    assert (plan.model, plan.batch_size, plan.methods, plan.device) == ("bert-base-sized", 16, ("full",), "cpu")
    assert run._plan(run._parser().parse_args([])) == SHORT
    assert run._plan(run._parser().parse_args(["--long"])).quality_seeds


def test_quality_is_measured_only_at_length(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def measure(plan: Plan, names: list[str], folder: Path) -> object:
        asked.append(list(names))
        raise run.UserError("enough")

    monkeypatch.setattr(run, "measure", measure)
    assert run.main([]) == run.main(["--long"]) == 2
    assert asked == [[name for name in run.PARTS if name != "quality"], list(run.PARTS)]


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["speed"]) == 2
    assert "there is no part 'speed'" in capsys.readouterr().err


def test_a_users_mistake_is_a_message(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--model", plan.model, "--data", str(tmp_path / "none.json"), "--out", str(tmp_path)]
    assert run.main(words) == 2
    assert "none.json" in capsys.readouterr().err
