"""A study of which a file is damaged or gone: it is named, never left out, and the same `compare` mends it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stand_ins import InProcess

from spantune.cli.main import main
from spantune.runs import RunRecord
from spantune.studies import StudyRecord, compare
from spantune.studies.report import report_of

Done = Callable[..., tuple[Path, list[str]]]


@pytest.fixture(scope="module")
def trained(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two methods that has finished, in `study`."""
    from spantune.config import CompareConfig

    folder = tmp_path_factory.mktemp("trained") / "study"
    shared = {key: value for key, value in settings.items() if key not in ("method", "learning_rate")}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("spantune.training.run.run_plots", lambda folder: [])
        patched.setattr("spantune.reports.write_report.Report.write", lambda report: report)
        compare(CompareConfig(**shared, methods=("full", "lora"), output=str(folder)), str, InProcess())
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "study"))


@pytest.fixture
def again(settings: dict[str, Any], no_plots: None) -> Callable[[Path], tuple[StudyRecord, list[str], list[str]]]:
    """The same `compare` once more: its record, what it said, what it ran."""
    from spantune.config import CompareConfig

    def call(folder: Path) -> tuple[StudyRecord, list[str], list[str]]:
        shared = {key: value for key, value in settings.items() if key not in ("method", "learning_rate")}
        said: list[str] = []
        executor = InProcess()
        study = compare(CompareConfig(**shared, methods=("full", "lora"), output=str(folder)), said.append, executor)
        return study, said, executor.names

    return call


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.json")


RECORDS = [cut, link_to_nothing, lambda path: path.write_bytes(b""), lambda path: path.unlink()]


@pytest.mark.parametrize("damage", RECORDS, ids=["cut", "link", "empty", "gone"])
@pytest.mark.parametrize("command", ["report", "recommend"])
def test_a_damaged_record_is_an_error_that_names_the_file(
    command: str, damage: Callable[[Path], None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(folder / "lora-0" / "record.json")
    assert main([command, str(folder)]) == 2
    said = capsys.readouterr()
    assert str(folder / "lora-0" / "record.json") in said.err and "Traceback" not in said.err
    assert "Full fine-tuning" not in said.out


@pytest.mark.parametrize("damage", RECORDS[:3], ids=["cut", "link", "empty"])
def test_without_a_study_record_too(damage: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "study.json").unlink()
    damage(folder / "lora-0" / "record.json")
    assert main(["report", str(folder)]) == 2
    assert str(folder / "lora-0" / "record.json") in capsys.readouterr().err


@pytest.mark.parametrize("damage", RECORDS[:3], ids=["cut", "link", "empty"])
def test_compare_says_that_a_record_is_damaged_and_trains_again(damage: Any, folder: Path, again: Any) -> None:
    f1 = RunRecord.read(folder / "lora-0").metric("f1")
    damage(folder / "lora-0" / "record.json")
    study, said, ran = again(folder)
    assert ran == ["lora-0"]
    (line,) = [line for line in said if line.startswith("[") and "lora" in line]
    assert "run (damaged: " in line and str(folder / "lora-0" / "record.json") in line
    assert [record.method for record in study.records] == ["full", "lora"] and study.records[1].metric("f1") == f1
    assert not study.damaged and len(report_of(study).table.groups) == 2


@pytest.mark.parametrize("name", ["adapter", "adapter/adapter_model.safetensors", "adapter/spantune.json"])
def test_a_run_without_its_model_is_trained_again(name: str, folder: Path, again: Any) -> None:
    before = (folder / "lora-0" / "adapter" / "adapter_model.safetensors").read_bytes()
    path = folder / "lora-0" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.warns(UserWarning, match="is damaged and is trained again"):
        _, said, ran = again(folder)
    assert ran == ["lora-0"]
    assert any("resume (finished before, but damaged: " in line and str(folder / "lora-0") in line for line in said)
    assert (folder / "lora-0" / "adapter" / "adapter_model.safetensors").read_bytes() == before


def test_a_run_without_its_answers_answers_again(folder: Path, again: Any) -> None:
    path = folder / "lora-0" / "predictions.json"
    before, record = path.read_bytes(), RunRecord.read(folder / "lora-0")
    path.unlink()
    with pytest.warns(UserWarning, match="its answers are made again"):
        _, said, ran = again(folder)
    assert ran == ["lora-0"] and any(str(path) in line for line in said)
    assert path.read_bytes() == before
    now = RunRecord.read(folder / "lora-0")
    assert now.metrics == record.metrics and now.started_at == record.started_at, "it was not trained again"


def test_a_whole_study_runs_nothing(folder: Path, again: Any) -> None:
    assert again(folder)[2] == []


def test_a_damaged_study_record_is_said_and_written_anew(folder: Path, again: Any) -> None:
    cut(folder / "study.json")
    _, said, ran = again(folder)
    assert ran == [] and any(str(folder / "study.json") in line and "written anew" in line for line in said)
    assert not StudyRecord.read(folder).damaged


@pytest.mark.parametrize("command", ["report", "recommend"])
def test_answers_of_another_run_are_refused_by_name(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (folder / f"{method}-0" / "predictions.json" for method in ("full", "lora"))
    assert json.loads(one.read_text()) != json.loads(other.read_text())
    os.replace(one, folder / "aside")
    os.replace(other, one)
    os.replace(folder / "aside", other)
    assert main([command, str(folder)]) == 2
    assert str(folder) in (said := capsys.readouterr().err) and "predictions.json" in said


FILES = ["predictions.json", "n_best.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["cut", "flip", "gone"])
def test_damaged_answers_are_named_and_made_again(
    name: str, how: str, folder: Path, again: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "lora-0" / name
    before = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "cut":
        cut(path)
    else:
        content = bytearray(before)
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert main(["report", str(folder)]) == 2
    assert str(path) in capsys.readouterr().err
    with pytest.warns(UserWarning, match="its answers are made again"):
        _, _, ran = again(folder)
    assert ran == ["lora-0"] and path.read_bytes() == before
    assert main(["recommend", str(folder)]) == 0


def test_a_model_of_another_run_is_named_and_trained_again(
    folder: Path, again: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "lora-0" / "adapter" / "spantune.json").read_bytes()
    shutil.rmtree(folder / "lora-0" / "adapter")
    shutil.copytree(folder / "full-0" / "adapter", folder / "lora-0" / "adapter")
    asked = ["ask", str(folder / "lora-0"), "--question", "Who?", "--context", "Ada built it in 1832."]
    assert main(asked) == 2
    assert str(folder / "lora-0" / "adapter" / "spantune.json") in capsys.readouterr().err
    with pytest.warns(UserWarning, match="is damaged and is trained again"):
        assert again(folder)[2] == ["lora-0"]
    assert (folder / "lora-0" / "adapter" / "spantune.json").read_bytes() == before


def test_a_history_that_is_damaged_is_said(folder: Path, no_plots: None) -> None:
    (folder / "lora-0" / "history.jsonl").unlink()
    with pytest.warns(UserWarning, match=r"lora-0/history\.jsonl is gone"):
        made = report_of(StudyRecord.read(folder))
    assert len(made.table.groups) == 2 and any("history.jsonl is gone" in line for line in made.failures)
