"""The plots: what they show, that names cover nothing, and that files come out the same."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import METHODS, history, record
from matplotlib.collections import PathCollection

from spantune.errors import RunError
from spantune.reports.figures import files, learning_curves
from spantune.reports.figures.f1_against_cost import COSTS, f1_against
from spantune.reports.figures.style import looks, save
from spantune.reports.figures.text_placement import overlap, spread_apart
from spantune.reports.run_groups import group
from spantune.runs import History, ParameterCount, RunFolder


def f1_against_parameters(records):
    return f1_against(group(records), COSTS[0])


@pytest.fixture(scope="module")
def runs():
    return [(record(method, seed), history(method, seed)) for method in METHODS for seed in (0, 1)]


def name_boxes(figure, names):
    """Pixel boxes of the texts that name runs, in the drawn figure."""
    figure.canvas.draw()
    found = [text for text in figure.axes[0].texts if text.get_text() in names]
    assert sorted(text.get_text() for text in found) == sorted(names)
    return [tuple(text.get_window_extent().extents) for text in found]


def assert_apart_and_inside(figure, boxes):
    for index, box in enumerate(boxes):
        assert not any(overlap(box, other) > 0 for other in boxes[index + 1 :])
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= figure.bbox.width and box[3] <= figure.bbox.height


LABELS = [label for label, *_ in METHODS.values()]


@pytest.mark.parametrize("draw", [learning_curves.loss_curves, learning_curves.learning_curves])
def test_all_methods_are_named_beside_their_lines(runs, draw):
    figure = draw(runs)
    assert_apart_and_inside(figure, name_boxes(figure, LABELS))


def test_points_are_named_and_no_name_covers_another_or_a_point(runs):
    figure = f1_against_parameters([one for one, _ in runs])
    boxes = name_boxes(figure, LABELS)
    assert_apart_and_inside(figure, boxes)
    axes = figure.axes[0]
    points = axes.transData.transform(
        [tuple(one.get_offsets()[0]) for one in axes.collections if isinstance(one, PathCollection)]
    )
    assert len(points) == len(METHODS)
    assert not any(left < x < right and low < y < high for left, low, right, high in boxes for x, y in points)


def test_crowded_points_are_still_named_apart():
    crowd = [
        replace(
            record(method),
            parameters=ParameterCount(20_000 + 900 * place, 10**6),
            metrics={"reported": {"f1": 40.0 + place / 3}},
        )
        for place, method in enumerate(METHODS)
    ]
    figure = f1_against_parameters(crowd)
    assert_apart_and_inside(figure, name_boxes(figure, LABELS))


def test_long_names_stay_inside_the_picture(runs):
    long = [(replace(one, label=f"{one.label} with a long and winding name"), rows) for one, rows in runs]
    figure = learning_curves.learning_curves(long)
    assert_apart_and_inside(figure, name_boxes(figure, [f"{label} with a long and winding name" for label in LABELS]))


def test_a_curve_is_the_mean_over_seeds():
    rows = [[{"step": 1, "selection_f1": value}, {"step": 2, "selection_f1": value + 1}] for value in (10.0, 14.0)]
    figure = learning_curves.learning_curves([(record("lora", seed), one) for seed, one in enumerate(rows)])
    assert [list(line.get_ydata()) for line in figure.axes[0].lines if line.get_marker() != "None"] == [[12.0, 13.0]]
    assert "standard deviation" in subtitle(figure)


def test_a_band_is_explained_where_one_is_drawn(runs):
    of_one_seed = [one for one in runs if one[0].seed == 0]
    assert "; " not in subtitle(learning_curves.learning_curves(of_one_seed))
    assert subtitle(learning_curves.loss_curves(of_one_seed)).endswith("; moving averages")
    assert subtitle(learning_curves.learning_curves(runs)).endswith("; band: ± one standard deviation over seeds")


def subtitle(figure):
    return figure.texts[1].get_text()


def test_seeds_whose_epochs_end_at_other_steps_are_averaged_epoch_by_epoch():
    rows = [[{"step": 40, "selection_f1": 10.0}], [{"step": 42, "selection_f1": 20.0}]]
    figure = learning_curves.learning_curves([(record("lora", seed), one) for seed, one in enumerate(rows)])
    (line,) = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([41.0], [15.0])
    rows[0].append({"step": 80, "selection_f1": 30.0})  # the other one was stopped before
    figure = learning_curves.learning_curves([(record("lora", seed), one) for seed, one in enumerate(rows)])
    (line,) = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([40.0, 42.0, 80.0], [10.0, 20.0, 30.0])
    logged = [[{"step": step, "loss": 5.0 + seed} for step in range(1, 11 + seed)] for seed in (0, 1)]
    figure = learning_curves.loss_curves([(record("lora", seed), one) for seed, one in enumerate(logged)])
    assert set(figure.axes[0].lines[0].get_ydata()) == {5.5}, "the eleventh step is the second seed's alone"


def test_unfinished_runs_are_no_points_but_curves(runs):
    half = (replace(record("lora"), status="failed"), history("lora", steps=60))
    assert f1_against_parameters([half[0]]) is None
    assert learning_curves.loss_curves([half]) is not None


@pytest.mark.parametrize("rows", [[], [{"step": 1, "epoch": 0.1, "loss": None}]])
def test_nothing_logged_is_no_plot(rows):
    assert learning_curves.loss_curve(record(), rows) is None
    assert learning_curves.loss_curves([(record(), rows)]) is None
    assert learning_curves.learning_curves([(record(), rows)]) is None
    assert f1_against_parameters([]) is None


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"step": 1, "epoch": 1.0, "loss": 2.0, "selection_f1": 0.0}], marks=pytest.mark.exhaustive),
        [{"step": 0, "epoch": 0.0, "loss": 0.0, "selection_loss": 1.0, "selection_f1": 100.0}],
    ],
)
def test_one_step_is_a_plot_without_a_warning(rows, recwarn, tmp_path):
    save(learning_curves.loss_curve(record(), rows), tmp_path / "loss")
    save(learning_curves.learning_curves([(record(), rows)]), tmp_path / "f1")
    save(f1_against_parameters([record()]), tmp_path / "parameters")
    assert [str(one.message) for one in recwarn] == []


def test_a_run_folder_gets_its_plots_and_a_study_its_own(tmp_path):
    folders = []
    for method in ("lora", "full"):
        folder = RunFolder(tmp_path / method)
        folder.prepare()
        record(method).write(folder.path)
        for row in history(method):
            History(folder.history).append(**row)
        folders.append(folder)
    drawn = files.run_plots(folders[0])
    assert sorted(one.name for one in drawn) == ["loss.png", "loss.svg", "selection_f1.png", "selection_f1.svg"]
    assert all(one.parent == folders[0].plots and one.stat().st_size > 2000 for one in drawn)
    first = {one.name: one.read_bytes() for one in files.comparison_plots(folders, tmp_path / "plots")}
    assert first.keys() == {
        f"{n}.{e}"
        for n in (
            "f1_against_parameters",
            "f1_against_adapter",
            "f1_against_training",
            "loss_curves",
            "learning_curves",
        )
        for e in ("png", "svg")
    }
    assert first == {one.name: one.read_bytes() for one in files.comparison_plots(folders, tmp_path / "again")}
    assert "LoRA" in (tmp_path / "plots" / "loss_curves.svg").read_text()


def test_a_folder_that_refuses_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        save(f1_against_parameters([record()]), tmp_path / "file" / "plot")


def test_looks_are_never_the_same_twice_and_do_not_depend_on_the_order():
    names = list(METHODS)
    found = dict(zip(names, looks(names), strict=True))
    assert found == dict(zip(reversed(names), looks(names[::-1]), strict=True))
    assert len({(look.colour, look.marker) for look in found.values()}) == len(names)
    many = looks(["lora"] * 70)
    assert len({(look.colour, look.marker, str(look.dash)) for look in many}) == 70


@given(st.lists(st.floats(0, 500), min_size=1, max_size=12))
def test_names_spread_apart_keep_their_order_and_their_distance(wanted):
    placed = spread_apart(wanted, 20.0, 0.0, 500.0)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gaps = [placed[after] - placed[before] for before, after in pairwise(order)]
    assert all(gap >= 20.0 - 1e-6 for gap in gaps)
    assert min(placed) >= -1e-6 and max(placed) <= 500 + 1e-6


def _smoothed(values):
    return list(learning_curves.smoothed(learning_curves.Curve((), tuple(values), ())).values)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=200))
def test_smoothing_stays_among_the_values(values):
    smooth = _smoothed(values)
    assert len(smooth) == len(values)
    assert min(values) - 1e-9 <= min(smooth) and max(smooth) <= max(values) + 1e-9


def test_a_straight_line_stays_straight_away_from_its_ends():
    values = [float(i) for i in range(200)]
    assert _smoothed(values)[20:180] == pytest.approx(values[20:180])


def test_tables_need_no_plots_and_plots_no_pyplot_and_neither_torch():
    code = (
        "import sys; import spantune.reports.tables.main_table, spantune.reports.figures.files;"
        "import spantune.reports.write_report;"
        "assert not {'matplotlib', 'torch', 'jinja2'} & sys.modules.keys(), 'at import';"
        f"sys.path.insert(0, {str(__file__.rpartition('/')[0])!r}); from made_up import study;"
        "from spantune.reports.run_groups import group; from spantune.reports.figures import f1_against_cost as f;"
        "f.f1_against(group(study()), f.COSTS[0]);"
        "assert not {'matplotlib.pyplot', 'torch'} & sys.modules.keys(), 'while drawing'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
