"""study.json: what cannot be read says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins import Pretend

from spantune.cli.main import COMMANDS
from spantune.config import CompareConfig
from spantune.config.parse.parse import parse_command
from spantune.errors import RunError
from spantune.methods import methods
from spantune.reports.reproduce import typed
from spantune.studies import FinalRun, Point, StudyRecord, Sweep, compare
from spantune.studies.budget import Fitted
from spantune.studies.command_lines import compare_words
from spantune.studies.record import STUDY
from spantune.studies.report import report_of
from spantune.studies.study_recorder import StudyRecorder, protocol_of


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no study here"),
        ("{", "the study's record is broken"),
        ("[]", "a JSON object"),
        ("[" * 100_000, "recursion"),
        ({"format": 99}, "format 99"),
        ({"format": 1, "runs": [{"method": "lora"}]}, "the keys 'runs.0.model', 'runs.0.seed', 'runs.0.folder'"),
        ({"format": 1, "runs": [{"method": "lora", "model": "m", "seed": "0"}]}, "the key 'runs.0.folder'"),
        ({"format": 1, "status": "asleep"}, "'asleep'"),
        ({"format": 1, "command": ["spantune", 3]}, "key 'command.1'\n  expected: a valid string\n  found:    3"),
    ],
)
def test_what_is_no_record(content: Any, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / STUDY).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RunError) as raised:
        StudyRecord.read(tmp_path)
    assert words in str(raised.value) and "spantune compare" in str(raised.value)


def test_a_record_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    point = Point({"lora.rank": 8, "schedule": "linear"}, "sweep/lora-rank-8", "finished", 1.0, 2.0, 30, 1)
    sweep = Sweep("lora", "m", "grid", {"lora.rank": "4, 8"}, 100, 1.0, 0, (point,), {"lora.rank": 8}, "best", "edge")
    runs = (
        FinalRun("lora", "m", 0, "lora-0", "failed", {"lora.rank": 8}, "run", "new", 3.5, "broke", ("crashed",)),
        FinalRun("lora", "m", 1, "lora-1", "skipped", reason="no time"),
    )
    record = StudyRecord(tmp_path, "finished", {"seeds": [0, 1]}, ("spantune",), (sweep,), runs, ("seed 2",), ("note",))
    record.write()
    again = StudyRecord.read(tmp_path)
    assert again == record
    assert isinstance(again.sweeps[0].points[0].values["lora.rank"], int), "a whole number stays one"
    assert ([one.folder for one in again.failed], [one.folder for one in again.skipped]) == (["lora-0"], ["lora-1"])
    assert again.records == ()


def test_a_record_that_is_lost_is_written_anew(study: Any, tmp_path: Path, no_plots: None) -> None:
    result = compare(study(), lambda text: None, Pretend())
    (tmp_path / "study" / STUDY).write_text("{")
    again = compare(study(), lambda text: None, executor := Pretend())
    assert executor.ran == [] and again.records == result.records
    assert [one.status for one in StudyRecord.read(tmp_path / "study").runs] == ["finished", "finished"]


def test_passwords_stay_out_of_it(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {"tracking_uri": "https://me:secret@host", "storage": "postgresql://me:secret@host/x"}
    protocol = protocol_of(study(**secret, search="optuna", sweep=("learning-rate",)))
    assert (protocol["tracking_uri"], protocol["storage"]) == ("https://host", "postgresql://host/x")
    monkeypatch.setattr("sys.argv", ["spantune", "--storage=postgresql://me:secret@host/x", "http://[x"])
    record = StudyRecorder(study(), (), Fitted(study(), (), ()), None, ()).record
    assert record.command == ("spantune", "--storage=postgresql://host/x", "http://[x")


def test_the_protocol_is_a_configuration(study: Any, tmp_path: Path) -> None:
    config = study(sweep=("learning-rate",), options={"lora": {"rank": 3}}, methods=("lora", "full"))
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(protocol_of(config)))
    again = parse_command(COMMANDS["compare"], ["--config", str(tmp_path / "again.yaml")], methods()).config
    assert protocol_of(again)["options"]["lora"]["rank"] == 3
    assert {**protocol_of(again), "options": None} == {**protocol_of(config), "options": None}


def test_the_page_reads_a_study(study: Any, tmp_path: Path, monkeypatch: Any, capsys: Any, no_plots: None) -> None:
    """The snippet of docs/studies.md runs."""
    compare(study(output=str(tmp_path / "studies/study"), sweep=("learning-rate",)), lambda text: None, Pretend())
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    shown = capsys.readouterr().out
    assert "lora {'learning_rate': 0.001} F1 50.0" in shown and "full-0 finished" in shown and "| LoRA |" in shown


def test_only_points_that_were_scored_or_failed_are_drawn(tmp_path: Path) -> None:
    scores = {"finished": 40.0, "failed": None, "elsewhere": 30.0, "planned": None, "running": None, "skipped": None}
    points = tuple(Point({"learning_rate": 1e-3}, "sweep/x", status, f1=f1) for status, f1 in scores.items())  # type: ignore[arg-type]
    sweep = Sweep("lora", "m", "grid", {}, 100, 1.0, 0, points)
    record = StudyRecord(tmp_path, sweeps=(sweep, replace(sweep, method="ia3", points=points[3:])))
    (drawn,) = report_of(record).sweeps
    assert [one.f1 for one in drawn.trials] == [40.0, None, 30.0], "the other sweep has nothing to show yet"


def test_the_command_line_of_a_study_from_python(tmp_path: Path) -> None:
    """A notebook's study is made again by the command that its report names."""
    given = CompareConfig(methods=["lora", "ia3"], seeds=[0, 1], options={"lora": {"rank": 4}}, sweep=["learning-rate"])  # type: ignore[arg-type]
    assert given.methods == ("lora", "ia3"), "lists are tuples, as notebooks and JSON give them"
    words = compare_words(given.as_dict())
    assert words[:2] == ["spantune", "compare"]
    made = parse_command(COMMANDS["compare"], words[2:], methods()).config
    assert (made.methods, made.seeds, made.sweep) == (given.methods, given.seeds, given.sweep)
    assert made.options["lora"]["rank"] == 4
    assert typed(("/venv/bin/spantune", "compare")) == typed(("/lib/spantune/__main__.py", "compare"))
    assert typed(("/lib/ipykernel_launcher.py", "-f", "x.json")) is None and typed(()) is None
