"""A published study shows what the study shows, and gives away no text and no path."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from made_study import write_study
from published import ANSWERS, publish, published, thinned

from spantune.data import load_corpus
from spantune.errors import RunError
from spantune.runs import RunFolder
from spantune.studies import StudyRecord
from spantune.studies.record import FinalRun, Point, Sweep
from spantune.studies.report import report_of


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LoRA with two seeds, (IA)³ and a failed run on the embedded sample, answers' places known for one run."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, {"lora": (7, 9), "ia3": (3,)})
    answers = json.loads(RunFolder(folder / "ia3-0").predictions.read_text(encoding="utf-8"))
    contexts = {one.id: one.context for one in load_corpus("sample", split="validation").examples}
    best = {
        key: [{"text": text, "start": (at := contexts[key].index(text)), "end": at + len(text), "probability": 0.5}]
        for key, text in answers.items()
    }
    RunFolder(folder / "ia3-0").n_best.write_text(json.dumps(best, indent=2, ensure_ascii=False), encoding="utf-8")
    runs = [FinalRun(name, "minilm", seed, f"{name}-{seed}", "finished") for name, seed in (("lora", 0), ("lora", 1))]
    points = (Point({"learning_rate": 1e-3}, "sweep/x", "finished", f1=40.0), Point({"learning_rate": 2e-3}, "sweep/y"))
    StudyRecord(
        folder,
        "finished",
        command=("/home/somebody/bin/spantune", "compare", "--data", "/home/somebody/squad.json"),
        sweeps=(Sweep("lora", "minilm", "grid", {}, 100, 1.0, 0, points, {"learning_rate": 1e-3}),),
        runs=(
            *runs,
            FinalRun("ia3", "minilm", 0, "ia3-0", "finished"),
            FinalRun("full", "minilm", 0, "full-0", "failed"),
        ),
    ).write()
    return folder


@pytest.fixture(scope="module")
def target(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "one"
    publish(study, folder)
    return folder


def test_it_shows_what_the_study_shows(study: Path, target: Path) -> None:
    ours, theirs = published(target), report_of(StudyRecord.read(study))
    assert ours.evidence is not None and theirs.evidence is not None
    assert ours.table.to_markdown() == theirs.table.to_markdown() and "LoRA" in ours.table.to_markdown()
    assert ours.statistics == theirs.statistics
    assert ours.evidence.counts == theirs.evidence.counts
    assert ours.evidence.slices == theirs.evidence.slices
    assert str(ours.finding) == str(theirs.finding)
    assert {name: one.to_markdown() for name, one in ours.grids().items()} == {
        name: one.to_markdown() for name, one in theirs.grids().items()
    }
    assert ours.sweeps == theirs.sweeps and ours.compared == theirs.compared


def test_an_answer_is_a_place(study: Path, target: Path) -> None:
    rows = gzip.decompress((target / ANSWERS).read_bytes()).decode().splitlines()
    head, first = rows[0].split(","), rows[1].split(",")
    told = dict(zip(head, first, strict=True))
    answers = json.loads(RunFolder(study / "ia3-0").predictions.read_text(encoding="utf-8"))
    contexts = {one.id: one.context for one in load_corpus("sample", split="validation").examples}
    span = slice(int(told["ia3-0 start"]), int(told["ia3-0 end"]))
    assert contexts[told["id"]][span] == answers[told["id"]]
    assert told["lora-0 start"] == "", "unknown without candidates"


def test_it_gives_away_no_text_and_no_path(study: Path, target: Path) -> None:
    files = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert len(files) == 2 + 2 * 3
    text = "\n".join((gzip.decompress(raw) if path.suffix == ".gz" else raw).decode() for path, raw in files.items())
    for example in load_corpus("sample", split="validation").examples:
        for private in (example.question, example.context, *(one.text for one in example.answers)):
            assert len(private) < 12 or private not in text
    assert "somebody" not in text and str(study.parent) not in text and not re.search(r'"/\w+/', text)


def test_publishing_twice_gives_the_same_bytes(study: Path, target: Path, tmp_path: Path) -> None:
    publish(study, tmp_path / "again")
    for path in sorted(target.rglob("*")):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(target)).read_bytes() == path.read_bytes(), path.name


def _second(folder: Path, protocol: dict[str, object]) -> Path:
    """A study of (IA)³, trained again, and of LoHa."""
    write_study(folder, {"ia3": (5,), "loha": (2,)})
    points = (Point({"learning_rate": 1e-2}, "sweep/x", "finished", f1=30.0),)
    names = ("ia3", "loha")
    StudyRecord(
        folder,
        "finished",
        protocol=protocol,
        sweeps=tuple(Sweep(one, "minilm", "grid", {}, 100, 1.0, 0, points, points[0].values) for one in names),
        runs=tuple(FinalRun(one, "minilm", 0, f"{one}-0", "finished") for one in names),
    ).write()
    return folder


def test_a_study_with_other_methods_is_added(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    alone = publish(study, target)
    shown = publish(_second(tmp_path / "second", {"methods": ["ia3", "loha"], "workers": 2}), target)
    assert [one.label for one in shown.table.groups] == ["LoRA", "(IA)³", "LoHa"]
    assert [one.method for one in shown.sweeps] == ["lora", "ia3", "loha"]
    before, after = alone.table.standings, shown.table.standings
    assert before["LoRA"].f1.mean == after["LoRA"].f1.mean, "untouched"
    assert before["(IA)³"].f1.mean < after["(IA)³"].f1.mean, "every fifth question wrong, not every third"
    again = publish(tmp_path / "second", target)
    assert again.statistics == shown.statistics, "adding the same once more changes nothing"


def test_sweeps_alone_are_added_once_they_have_chosen(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    alone = publish(study, target)
    tried = (Point({"learning_rate": 1e-2}, "sweep/x", "finished", f1=30.0),)
    done = Sweep("bitfit", "minilm", "grid", {}, 100, 1.0, 0, tried, {"learning_rate": 1e-2})
    under_way = Sweep("dora", "minilm", "grid", {}, 100, 1.0, 0, tried)
    StudyRecord(tmp_path, "interrupted", sweeps=(done, under_way)).write()
    shown = publish(tmp_path, target)
    assert [one.method for one in shown.sweeps] == ["lora", "bitfit"]
    assert shown.statistics == alone.statistics and StudyRecord.read(target).status == "finished"


def test_a_study_of_another_protocol_is_not_added(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    publish(_second(tmp_path / "first", {"epochs": 2.0}), target)
    files = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="protocol") as raised:
        publish(_second(tmp_path / "second", {"epochs": 1.0, "methods": ["ia3"]}), target)
    assert "epochs 2.0" in str(raised.value) and "epochs 1.0" in str(raised.value)
    other = [{"id": "q", "question": "Who?", "context": "Ada did.", "answers": {"text": ["Ada"], "answer_start": [0]}}]
    write_study(tmp_path / "third", {"lora": (2,)}, rows=other)
    StudyRecord(tmp_path / "third", "finished", runs=(FinalRun("lora", "minilm", 0, "lora-0", "finished"),)).write()
    with pytest.raises(RunError, match="same questions"):
        publish(tmp_path / "third", target)
    assert files == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}, "as it was"


def test_a_study_without_answers_is_refused(study: Path, tmp_path: Path) -> None:
    StudyRecord(tmp_path, "finished").write()
    with pytest.raises(RunError, match="cannot be compared"):
        publish(tmp_path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_history_is_thinned_by_means_and_keeps_its_evaluations() -> None:
    steps = [{"step": at, "epoch": at / 100, "loss": float(at), "grad_norm": None} for at in range(1, 1001)]
    score = {"step": 500, "epoch": 5.0, "selection_f1": 51.23456}
    rows = thinned([*steps[:500], score, *steps[500:]])
    losses = [one for one in rows if "loss" in one]
    assert len(losses) <= 150 and [one for one in rows if "selection_f1" in one] == [{**score, "selection_f1": 51.23}]
    assert losses[0]["loss"] == pytest.approx(4.0) and losses[0]["step"] == 7, "the mean of steps 1 to 7, at the last"
    assert [one["step"] for one in rows] == sorted(one["step"] for one in rows)
    assert thinned(steps[:5]) == [{key: value for key, value in one.items() if value is not None} for one in steps[:5]]
