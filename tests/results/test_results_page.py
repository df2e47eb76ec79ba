"""What the docs say of the results is what the published records hold."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import made_up
import pytest
import results_page
from cited import values
from results_page import MAIN, ROOT, study

from spantune.methods import get
from spantune.reports.figures.sweep_plots import SweepCurve, SweepTrial
from spantune.reports.run_groups import group

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_number_that_names_its_record_is_the_records() -> None:
    found = [(page.name, *one) for page in PAGES for one in values(page.read_text(encoding="utf-8"))]
    assert found
    assert [one for one in found if one[1] != one[2]] == []


def test_a_wrong_number_is_noticed() -> None:
    name = study().folders[0].path.name
    f1 = study().records[0].metrics["reported"]["f1"]
    (right,) = values(f"F1 {f1:.1f}<!-- {name} metrics.reported.f1 -->.")
    (wrong,) = values(f"F1 {f1 + 1:.1f}<!-- {name} metrics.reported.f1 -->.")
    assert right[0] == right[1] and wrong[0] != wrong[1]
    ((shown, meant, _),) = values(f"+0.1<!-- {name} minus.{name} -->")
    assert (shown, meant) == ("+0.1", "+0.0")
    ((_, meant, _),) = values("57.6<!-- sweep lora.0.001 -->")
    (swept,) = (one for one in study().sweeps if one.method == "lora")
    assert float(meant) == pytest.approx(
        next(one.f1 for one in swept.trials if one.values == {"learning_rate": 1e-3}), abs=0.05
    )
    ((_, meant, _),) = values(f"0.0<!-- {MAIN}/{name} minus.{MAIN}/{name} -->")
    assert meant == "0.0"
    for nowhere in (f"{name} metrics.reported.f2", "none-0 metrics.reported.f1"):
        with pytest.raises(KeyError):
            values(f"1.0<!-- {nowhere} -->")


def test_what_a_method_takes_by_default_is_what_the_sweep_chose() -> None:
    assert study().sweeps
    for one in study().sweeps:
        assert one.over_one_number
        assert one.chosen == {"learning_rate": get(one.method).learning_rate}, one.method


def test_a_published_study_was_whole_and_scored_once() -> None:
    report = study()
    assert report.missing is None and report.compared
    for record in report.records:
        assert record.status == "finished" and record.scored_on == "reported"
        assert record.data["reported"].examples == 1190
        assert record.git and not record.git["dirty"], record.method


def test_the_figures_of_the_page_are_there() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    shown = re.findall(r"\(images/results/([\w-]+)\.svg\)", text)
    assert sorted(shown) == sorted(results_page.FIGURES)
    assert {path.stem for path in Path(results_page.IMAGES).glob("*.svg")} == set(shown)


def test_two_settings_with_the_mean_of_each_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scored = {(8, 0.0): 50.0, (8, 0.1): 51.0, (16, 0.0): 53.0, (16, 0.1): None}
    tried = tuple(SweepTrial({"lora.rank": rank, "dropout": rate}, f1) for (rank, rate), f1 in scored.items())
    made = SimpleNamespace(
        sweeps=(SweepCurve("lora", "LoRA", tried, {"lora.rank": 16, "dropout": 0.0}),), commands=("spantune compare",)
    )
    monkeypatch.setattr(results_page, "study", lambda name: made)
    monkeypatch.setattr(results_page, "STUDIES", tmp_path)
    assert results_page.settings("some") == "Not finished yet."
    (tmp_path / "some").mkdir()
    shown = results_page.settings("some")
    assert "| LoRA | dropout 0.0 | dropout 0.1 | mean |" in shown and "spantune compare" in shown
    assert "| lora.rank 8 | 50.0 | 51.0 | 50.5 |" in shown and "| lora.rank 16 | **53.0** | failed | 53.0 |" in shown
    assert "| mean | 51.5 | 51.0 |  |" in shown


def test_another_domain_is_set_against_questions_as_in_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scored = {"selection": {"f1": 60.0}, "reported": {"f1": 52.5}, "data/other.json": {"f1": 41.0}}
    groups = group(
        [made_up.record("lora", 0, metrics=scored), made_up.record("full", 0, metrics={"reported": {"f1": 50.0}})]
    )
    monkeypatch.setattr(results_page, "study", lambda name: SimpleNamespace(table=SimpleNamespace(groups=groups)))
    monkeypatch.setattr(results_page, "further", lambda name: "its table")
    monkeypatch.setattr(results_page, "STUDIES", tmp_path)
    assert results_page.held_out("some") == "Not finished yet."
    (tmp_path / "some").mkdir()
    shown = results_page.held_out("some")
    assert "| Method | As in training | The other domain | Difference | other |" in shown and "its table" in shown
    assert "| LoRA | 60.0 | 52.5 | −7.5 | 41.0 |" in shown
    assert "| Full fine-tuning | – | 50.0 | – | – |" in shown


def test_a_further_study_stands_with_the_command_that_makes_it() -> None:
    shown = results_page.further(MAIN)
    assert shown.startswith(results_page.scores_table()) and study().commands[0] in shown
    assert results_page.further("none") == "Not finished yet."
