"""Plots of runs: loss curves, learning curves, F1 against trainable parameters. From records and histories alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from spantune.records import History, RunFolder, RunRecord
from spantune.reports import numbers
from spantune.reports.groups import Group, group
from spantune.reports.labels import Box, name_line_ends, name_points
from spantune.reports.style import Look, looks, name_axes, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
"""A run's history: see `records.History`."""


@dataclass(frozen=True)
class Curve:
    """A metric over optimiser steps, averaged over a group's runs; `spread` where several have a value there."""

    steps: tuple[float, ...]
    values: tuple[float, ...]
    spread: tuple[float, ...]


def run_plots(folder: RunFolder) -> list[Path]:
    """Draw the run's own curves into its `plots` folder and return the files; [] before the first logged step."""
    record, rows = RunRecord.read(folder.path), History(folder.history).read()
    drawn = [("loss", loss_curve(record, rows)), ("selection_f1", learning_curves([(record, rows)]))]
    return [path for name, figure in drawn if figure for path in save(figure, folder.plots / name)]


def comparison_plots(folders: Sequence[RunFolder], target: Path) -> list[Path]:
    """Draw all runs together into the folder `target` and return the files; what has no data is left out."""
    runs = [(RunRecord.read(one.path), History(one.history).read()) for one in folders]
    drawn = [
        ("f1_against_parameters", f1_against_parameters([record for record, _ in runs])),
        ("loss_curves", loss_curves(runs)),
        ("learning_curves", learning_curves(runs)),
    ]
    return [path for name, figure in drawn if figure for path in save(figure, target / name)]


def loss_curve(record: RunRecord, rows: Rows) -> Figure | None:
    """One run's loss over steps: every logged value faintly, their moving average, and the selection split's."""
    raw, checked = _curve([rows], "loss"), _curve([rows], "selection_loss")
    if raw is None:
        return None
    figure, axes = new_figure(f"Loss of {record.label}", _about(record))
    training, selection = looks(["training", "selection"])
    smooth = smoothed(raw.values)
    axes.plot(raw.steps, raw.values, color=training.colour, alpha=0.25, linewidth=1)
    axes.plot(raw.steps, smooth, color=training.colour, linewidth=2.2)
    ends = [("training", training, smooth[-1])]
    if checked is not None:
        style: dict[str, Any] = {"marker": "o", "markersize": 6, "clip_on": False, "linewidth": 1.8}
        axes.plot(checked.steps, checked.values, color=selection.colour, **style)
        ends.append(("selection", selection, checked.values[-1]))
    curves = [raw, checked] if checked else [raw]
    _finish(axes, "cross-entropy of start and end", curves, _ceiling([*smooth, *(checked.values if checked else ())]))
    _name_ends(axes, ends)
    return figure


def loss_curves(runs: Sequence[tuple[RunRecord, Rows]]) -> Figure | None:
    """The training loss of all methods, moving averages; a line is the mean over seeds."""
    drawn = [(one, look, curve) for one, look, rows in _grouped(runs) if (curve := _curve(rows, "loss"))]
    if not drawn:
        return None
    figure, axes = new_figure("Training loss", _all_about(runs, "moving averages"))
    lines = [smoothed(curve.values) for _, _, curve in drawn]
    for (_, look, curve), line in zip(drawn, lines, strict=True):
        axes.plot(curve.steps, line, color=look.colour, linestyle=look.dash, linewidth=2)
    highest = _ceiling([value for line in lines for value in line])
    _finish(axes, "cross-entropy of start and end", [curve for *_, curve in drawn], highest)
    _name_ends(axes, [(one.label, look, line[-1]) for (one, look, _), line in zip(drawn, lines, strict=True)])
    return figure


def learning_curves(runs: Sequence[tuple[RunRecord, Rows]]) -> Figure | None:
    """F1 on the selection split over steps, a line a method; a band is ± one standard deviation over seeds."""
    drawn = [(one, look, curve) for one, look, rows in _grouped(runs) if (curve := _curve(rows, "selection_f1"))]
    if not drawn:
        return None
    about = _about(runs[0][0]) if len(runs) == 1 else _all_about(runs, "band: ± one standard deviation over seeds")
    figure, axes = new_figure("F1 on the selection split", about)
    for _, look, curve in drawn:
        low = [value - spread for value, spread in zip(curve.values, curve.spread, strict=True)]
        high = [value + spread for value, spread in zip(curve.values, curve.spread, strict=True)]
        if any(curve.spread):
            axes.fill_between(curve.steps, low, high, color=look.colour, alpha=0.15, linewidth=0)
        style: dict[str, Any] = {"marker": look.marker, "markersize": 6, "clip_on": False}
        style |= {"linestyle": look.dash, "linewidth": 2}
        axes.plot(curve.steps, curve.values, color=look.colour, **style)
    highest = max(value for _, _, curve in drawn for value in curve.values)
    _finish(axes, "F1", [curve for *_, curve in drawn], min(100.0, max(1.0, highest * 1.1)))
    _name_ends(axes, [(one.label, look, curve.values[-1]) for one, look, curve in drawn])
    return figure


def f1_against_parameters(records: Sequence[RunRecord]) -> Figure | None:
    """What each trainable parameter buys: a point a method, error bars ± one standard deviation over seeds."""
    groups = group(records)
    drawn = [
        (one, look, f1, one.finished[0].parameters)
        for one, look in zip(groups, looks([one.method for one in groups]), strict=True)
        if (f1 := one.metric("f1")) and one.finished[0].parameters
    ]
    if not drawn:
        return None
    first = drawn[0][0].finished[0]
    used = first.data.get(first.scored_on or "")
    where = f"{first.scored_on} set" + (f", {used.examples:,} questions" if used else "")
    several = any(f1.spread is not None for _, _, f1, _ in drawn)
    bars = "; error bars: ± one standard deviation over seeds" if several else ""
    figure, axes = new_figure("F1 against trainable parameters", where + bars)
    counts = [parameters.trainable for *_, parameters in drawn]
    _count_axis(axes, min(counts), max(counts))
    axes.set_ylim(0, min(104.0, max(1.0, max(f1.mean + (f1.spread or 0) for _, _, f1, _ in drawn) * 1.12)))
    name_axes(axes, "trainable parameters, span head included (logarithmic)", "F1")
    for _, look, f1, parameters in drawn:
        at: dict[str, Any] = {"x": parameters.trainable, "y": f1.mean, "color": look.colour}
        axes.errorbar(**at, yerr=f1.spread or 0, fmt="none", elinewidth=1.6, capsize=5, capthick=1.6)
        axes.scatter(at["x"], at["y"], color=look.colour, marker=look.marker, s=95, zorder=3)
    points = [(float(count), f1.mean) for count, (_, _, f1, _) in zip(counts, drawn, strict=True)]
    spans = [
        (x, y - (f1.spread or 0), y + (f1.spread or 0)) for (x, y), (_, _, f1, _) in zip(points, drawn, strict=True)
    ]
    taken = [_error_box(axes, *span) for span in spans]
    name_points(axes, points, [one.label for one, *_ in drawn], [look.ink for _, look, *_ in drawn], taken)
    return figure


def smoothed(values: Sequence[float], width: float = 0.02) -> list[float]:
    """Moving average with Gaussian weights, `width` of the curve's length their standard deviation; it does not lag."""
    import numpy as np

    sigma = width * len(values)
    reach = min(round(3 * sigma), len(values) - 1)
    if reach < 1:
        return list(values)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    inside = slice(reach, reach + len(values))
    there = np.convolve(np.ones(len(values)), weights)[inside]  # less at both ends, where neighbours are missing
    return [float(value) for value in np.convolve(values, weights)[inside] / there]


def _grouped(runs: Sequence[tuple[RunRecord, Rows]]) -> list[tuple[Group, Look, list[Rows]]]:
    """Each group of runs with its look and its runs' histories; unfinished runs show how far they came."""
    rows = {id(record): history for record, history in runs}
    groups = group([record for record, _ in runs])
    found = looks([one.method for one in groups])
    return [(one, look, [rows[id(run)] for run in one.runs]) for one, look in zip(groups, found, strict=True)]


def _curve(histories: Sequence[Rows], name: str) -> Curve | None:
    """A metric of several histories; steps that only some runs reached are averaged over those."""
    at: dict[float, list[float]] = {}
    for rows in histories:
        for row in rows:
            if row.get(name) is not None:
                at.setdefault(row["step"], []).append(row[name])
    steps = sorted(at)
    if not steps:
        return None
    spread = tuple(stdev(at[step]) if len(at[step]) > 1 else 0.0 for step in steps)
    return Curve(tuple(steps), tuple(fmean(at[step]) for step in steps), spread)


def _about(record: RunRecord) -> str:
    return f"{record.model}, seed {record.seed}, {_training_set(record)}"


def _all_about(runs: Sequence[tuple[RunRecord, Rows]], *more: str) -> str:
    record = runs[0][0]
    seeds = {one.seed for one, _ in runs}
    about = f"{record.model}, {_training_set(record)}"
    return "; ".join([about, *(more if len(seeds) > 1 or "average" in more[0] else ())])


def _training_set(record: RunRecord) -> str:
    train = record.data.get("train")
    return f"{train.examples:,} training questions" if train else "unknown training set"


def _finish(axes: Axes, y: str, curves: Sequence[Curve], high: float) -> None:
    """Axes from 0 to the last step and to `high`."""
    axes.set_ylim(0, high)
    axes.set_xlim(0, max(1, *(curve.steps[-1] for curve in curves)))
    name_axes(axes, "optimiser steps", y)


def _ceiling(values: Sequence[float]) -> float:
    """A little above the highest smoothed value: one wild batch must not flatten the rest."""
    return max(values) * 1.08 or 1.0


def _name_ends(axes: Axes, ends: Sequence[tuple[str, Look, float]]) -> None:
    names, drawn, values = zip(*ends, strict=True)
    name_line_ends(axes, values, names, [look.colour for look in drawn], [look.ink for look in drawn])


def _count_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis around the counts, with at least two powers of ten on it."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(low / 2.2, high * 2.2)
    if high / low < 30:
        axes.set_xlim(10 ** math.floor(math.log10(low / 1.5)), 10 ** math.ceil(math.log10(high * 1.5)))
    axes.set_autoscale_on(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.count(round(value)).replace(".0 ", " ")))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color="#f1f3f4", linewidth=1)


def _error_box(axes: Axes, x: float, low: float, high: float) -> Box:
    (left, bottom), (right, top) = axes.transData.transform([(x, low), (x, high)])
    return (left - 5, bottom - 2, right + 5, top + 2)
