"""What a notebook shows: figures, tables and questions of a report, and of answers that belong to no study."""

from dataclasses import replace

import pytest
from made_study import RESAMPLES, write_study

from spantune.data import Example
from spantune.data.example import Answer
from spantune.data.prediction import Prediction
from spantune.errors import ConfigError
from spantune.reports import (
    Evidence,
    differences,
    errors,
    errors_figure,
    read_report,
    slices,
    slices_figure,
    standings,
    telling_questions,
)
from spantune.reports.figures.style import looks
from spantune.reports.figures.sweep_plots import SweepCurve, SweepTrial, sweep_curves, sweep_trials


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return read_report(folder, write_study(folder, {"full": (9, 8), "ia3": (2, 2)}), resamples=RESAMPLES)


def test_a_report_has_everything_at_hand_and_writes_nothing(report):
    assert report.written == () and not (report.folder / "report.html").exists()
    assert report.scores.f1.shape == (2, 255) and report.statistics.questions == 255
    assert report.compared == ["Full fine-tuning", "(IA)³"]
    assert {"Differences", "Kinds of error", "question word"} <= report.grids().keys()
    assert "| Full fine-tuning − (IA)³ |" in report.grids()["Differences"].to_markdown()
    assert str(report.finding) in repr(report) and repr(report.table) == report.table.to_text()
    assert report.table._repr_markdown_() == report.table.to_markdown()
    assert report.grids()["Differences"]._repr_markdown_().startswith("**Differences**\n\n")


def test_a_figure_is_shown_by_a_notebook(report):
    data, about = report.figure("intervals")._repr_png_()
    assert data.startswith(b"\x89PNG") and 700 < about["width"] < 800
    for name, found in (("interval", "another name"), ("sweep", "nothing to draw in it")):
        with pytest.raises(ConfigError, match=found):
            report.figure(name)


CONTEXT = "𝔸da <b>built</b> the mill in 1832, and sold it in 1850."
EXAMPLES = [
    Example("q1", "When was it built?", CONTEXT, (Answer("1832", CONTEXT.index("1832")),)),
    Example("q2", "Who built it?", CONTEXT, (Answer("𝔸da", 0),)),
]


def predicted(*texts):
    return [
        Prediction(one.id, text, at := one.context.index(text), at + len(text), 1.0, 0.5, 0.0, 0.0)
        if text
        else Prediction(one.id, "", 0, 0, 1.0, 0.5, 0.0, 0.0)
        for one, text in zip(EXAMPLES, texts, strict=True)
    ]


@pytest.fixture(scope="module")
def evidence():
    return Evidence.of_predictions(EXAMPLES, {"one": predicted("1832", "𝔸da"), "two": predicted("1850", "")})


def test_answers_that_belong_to_no_study(evidence):
    assert evidence.methods == ("one", "two")
    assert evidence.scores.em.tolist() == [[1, 1], [0, 0]] and evidence.spans["two"] == [
        {"q1": (CONTEXT.index("1850"), CONTEXT.index("1850") + 4)}
    ]
    assert standings(evidence).rows[0][0] == "one" and "100.0" in standings(evidence).rows[0][3]
    assert differences(evidence).rows[0][:2] == ("one − two", "+100.0")
    assert errors(evidence).rows[1][:4] == ("two", "0", "1", "1")
    assert "who" in slices(evidence)["question word"].to_markdown()
    assert len(slices(evidence)["context length"].rows) == 1, "every dimension is there"
    assert errors_figure(evidence) is not None and slices_figure(evidence) is not None


def test_questions_with_their_answers_marked(evidence):
    shown = telling_questions(evidence, ids=["q1"])
    page = shown._repr_html_()
    assert "<mark" in page and ">1832</mark>" in page and "1850</u>" in page and "Who built" not in page
    assert "&lt;b&gt;built" in page and "<style" not in page and "<script" not in page
    assert "[1832]" in repr(shown) and "elsewhere: 1850 (two)" in repr(shown)
    assert "no answer" in telling_questions(evidence, 2)._repr_html_()
    with pytest.raises(KeyError):
        telling_questions(evidence, ids=["q3"])


def test_a_sweep_over_several_settings():
    rates = [{"learning_rate": 10.0**-step, "lora.rank": 2**step, "lora.target": "all"} for step in range(1, 5)]
    made = SweepCurve("lora", "LoRA", tuple(map(SweepTrial, rates, (None, 40.0, 50.0, 45.0))), rates[2])
    figure = sweep_trials([made], {})
    best, rate, rank, target = figure.axes
    assert [one.get_xlabel() for one in figure.axes] == ["trials", "learning rate", "lora.rank", "lora.target"]
    assert list(best.lines[0].get_ydata()) == [40.0, 50.0, 50.0, 50.0], "the best so far"
    assert rate.get_xscale() == rank.get_xscale() == "log" and target.get_xscale() == "linear"
    rings = [[one for one in axes.collections if not len(one.get_facecolor())] for axes in figure.axes]
    assert [one[0].get_offsets().tolist()[0] for one in rings] == [[3, 50], [1e-3, 50], [8, 50], [0, 50]]
    assert sweep_trials([], {}) is None and sweep_curves([made], {}) is None


SETTINGS = ("learning_rate", "lora.rank")


def swept(label, *trials, name="learning_rate"):
    """A sweep over one number, which chose 2."""
    return SweepCurve("any", label, tuple(SweepTrial({name: value}, *rest) for value, *rest in trials), {name: 2.0})


def test_sweeps_over_one_setting_and_over_several():
    """What all panels share stands once; else each panel names its own."""
    rate, rank = (swept("LoRA", (1.0, 40.0), (2.0, 50.0), (4.0, None, True), name=name) for name in SETTINGS)

    def texts(*sweeps):
        figure = sweep_curves(sweeps, {})
        return [one.get_text() for one in figure.texts], [axes.get_xlabel() for axes in figure.axes]

    written, labels = texts(rate, rate)
    assert "F1 on the selection split by learning rate" in written and "learning rate" in written
    assert labels == ["", ""]
    written, labels = texts(rate, rank)
    assert "F1 on the selection split by the setting that was swept" in written and "learning rate" not in written
    assert labels == ["learning rate", "lora.rank"]


def test_a_method_looks_alike_in_all_figures_of_a_report():
    """Also in those of sweeps, which have no floor, and methods that have no final run yet."""
    styles = dict(zip(("Unadapted", "LoRA", "(IA)³"), looks(["head-only", "lora", "ia3"]), strict=True))
    curves = [swept(label, (1.0, 40.0), (2.0, 50.0)) for label in ("DoRA", "LoRA", "LoHa", "(IA)³")]
    colours = [axes.lines[0].get_color() for axes in sweep_curves(curves, styles).axes]
    made = [SweepCurve("any", one.label, (SweepTrial({"ia3.target": "all"}, 50.0),), None) for one in curves]
    assert [axes.lines[0].get_color() for axes in sweep_trials(made, styles).axes[::2]] == colours
    assert colours[1::2] == [styles["LoRA"].colour, styles["(IA)³"].colour]
    assert len({*colours, *(look.colour for look in styles.values())}) == 5


def test_the_edge_of_a_sweep_is_where_the_search_saw_it():
    """A point that failed beyond the best one ends the sweep: it was tried."""
    inside = swept("LoRA", (1.0, 40.0), (2.0, 50.0), (4.0, None, True))
    titles = [axes.get_title("left") for axes in sweep_curves([inside, replace(inside, note="so it is")], {}).axes]
    assert titles == ["LoRA", "LoRA (at the edge)"]
