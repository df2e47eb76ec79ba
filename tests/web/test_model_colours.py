"""A method has one look: on Explore, on Ask, and in the plots of its study's report."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from made_studies import ANSWERS, ROWS, served, write_study

from spantune.reports.figures.style import places
from spantune.reports.run_groups import group
from spantune.runs import RunRecord
from spantune.studies.report import run_folders
from spantune.web import model_colours
from spantune.web.models import LOOKS, Model
from spantune.web.question_index import read_index
from spantune.web.served_models import named_models

Study = Callable[..., Path]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    def made(name: str = "compare", *methods: str, lost: str = "") -> Path:
        answers = {one: runs for one, runs in ANSWERS.items() if one in (methods or ANSWERS)}
        folder = write_study(tmp_path / name, ROWS, answers)
        if lost:
            (folder / f"{lost}-0").mkdir()
            RunRecord("failed", lost, lost, "minilm", 0).write(folder / f"{lost}-0")
        return folder

    return made


def models_of(*studies: Path) -> tuple[Model, ...]:
    """In the order of their folders, which is that of the alphabet."""
    return named_models([run.parent for study in studies for run in sorted(study.glob("*-0/predictions.json"))])


def by_label(models: tuple[Model, ...]) -> dict[str, int | None]:
    return {one.label: one.place for one in models}


def test_pages_and_report_count_alike(study: Study) -> None:
    """A method without a finished run has a place in the report, too."""
    folder = study(lost="bitfit")
    groups = group([RunRecord.read(one.path) for one in run_folders(folder)])
    in_report = dict(zip([one.label for one in groups], places([one.method for one in groups]), strict=True))
    assert in_report == {"Full fine-tuning": 0, "bitfit": 1, "LoRA": 2, "(IA)³": 3}
    del in_report["bitfit"]
    assert by_label(model_colours.with_places(models_of(folder), [folder])) == in_report
    index = read_index(folder)
    assert dict(zip(index.methods, index.places, strict=True)) == in_report


def test_without_a_study_the_registry_decides(study: Study) -> None:
    found = by_label(model_colours.with_places(models_of(study()), []))
    assert found == {"Full fine-tuning": 0, "LoRA": 1, "(IA)³": 2}


def test_methods_that_repeat_are_numbered_on(study: Study) -> None:
    one, other = study("one"), study("other", "full", "ia3")
    models = models_of(one, other)
    first, second = models[:3], models[3:]
    found = {model.name: model.place for model in model_colours.with_places(models, [one, other])}
    assert sorted(filter(None, found.values())) == [1, 2, 3, 4] and len({*found.values()}) == 5
    assert [found[model.name] for model in first] == [0, 2, 1], "full, ia3, lora, as in the report of their study"
    assert [found[model.name] for model in second] == [3, 4]


def test_ask_and_explore_show_it(study: Study, tmp_path: Path) -> None:
    folder = study()
    client = served([folder], tmp_path / "kept")
    asked = re.findall(r'class="choice (method-\d+)">.*?</i>([^<]+)</label>', client.get("/").text)
    assert {label: look for look, label in asked} == {
        label: f"method-{place}"
        for label, place in by_label(model_colours.with_places(models_of(folder), [folder])).items()
    }


def test_the_style_sheet_has_the_colours_of_the_plots_in_their_order() -> None:
    """In the dark they are the same; on white, pages need more contrast than a point of a plot."""
    page = files("spantune.web").joinpath("static/style.css").read_text(encoding="utf-8")
    report = files("spantune.reports").joinpath("templates/report.css").read_text(encoding="utf-8")
    ours = [re.findall(rf"--m{number}: (#\w+)", page)[-1] for number in range(6)]
    assert ours == [re.findall(rf"--c{number}: (#\w+)", report)[-1] for number in range(1, 7)]
    known = {int(one) for one in re.findall(r"\.method-(\d+)", page)}
    assert known == {*range(LOOKS)}
