"""Loss and learning curves, from histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from spantune.reports.figures.style import WIDE, Form, Look, looks, name_axes, new_figure
from spantune.reports.figures.text_placement import name_line_ends
from spantune.reports.run_groups import group
from spantune.runs import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
"""A run's history: see `runs.History`."""
_NEARLY = 0.8
"""Runs whose last steps are so close ended at the same moment; only their seeds' windows differ."""
_HEIGHT_OF_A_NAME = 0.2  # inches


@dataclass(frozen=True)
class Curve:
    """A metric over optimiser steps, averaged over a group's runs; `spread` if several have a value there."""

    steps: tuple[float, ...]
    values: tuple[float, ...]
    spread: tuple[float, ...]


Line = tuple[str, Look, Curve]
"""A curve with its name and its look."""


def loss_curve(record: RunRecord, rows: Rows) -> Figure | None:
    """One run's loss over steps: every logged value faintly, their moving average, and the selection split's."""
    raw, checked = _curve([rows], "loss"), _curve([rows], "selection_loss")
    if raw is None:
        return None
    figure, axes = new_figure(f"Loss of {record.label}", _about(record))
    training, selection = looks(["training", "selection"])
    lines = [("training", training, smoothed(raw))]
    axes.plot(raw.steps, raw.values, color=training.colour, alpha=0.25, linewidth=1)
    axes.plot(raw.steps, lines[0][2].values, color=training.colour, linewidth=2.2)
    if checked is not None:
        style: dict[str, Any] = {"marker": "o", "markersize": 6, "clip_on": False, "linewidth": 1.8}
        axes.plot(checked.steps, checked.values, color=selection.colour, **style)
        lines.append(("selection", selection, checked))
    _finish_losses(axes, lines)
    return figure


def loss_curves(runs: Sequence[tuple[RunRecord, Rows]], form: Form = WIDE) -> Figure | None:
    """The training loss of all methods, moving averages; a line is the mean over seeds."""
    lines = [(label, look, smoothed(curve)) for label, look, curve in _lines(runs, "loss")]
    if not lines:
        return None
    figure, axes = new_figure("Training loss", _all_about(runs, "moving averages"), _room_for(len(lines), form))
    for _, look, curve in lines:
        axes.plot(curve.steps, curve.values, color=look.colour, linestyle=look.dash, linewidth=2)
    _finish_losses(axes, lines)
    return figure


def learning_curves(runs: Sequence[tuple[RunRecord, Rows]], form: Form = WIDE) -> Figure | None:
    """F1 on the selection split over steps, one line per method; a band is ± one standard deviation over seeds."""
    lines = _lines(runs, "selection_f1")
    if not lines:
        return None
    banded = any(any(curve.spread) for *_, curve in lines)
    band = "band: ± one standard deviation over seeds" if banded else None
    about = _about(runs[0][0]) if len(runs) == 1 else _all_about(runs, band)
    figure, axes = new_figure("F1 on the selection split", about, _room_for(len(lines), form))
    for _, look, curve in lines:
        if any(curve.spread):
            low, high = np.subtract(curve.values, curve.spread), np.add(curve.values, curve.spread)
            axes.fill_between(curve.steps, low, high, color=look.colour, alpha=0.15, linewidth=0)
        style: dict[str, Any] = {"marker": look.marker, "markersize": 6, "linestyle": look.dash, "linewidth": 2}
        axes.plot(curve.steps, curve.values, color=look.colour, clip_on=False, **style)
    highest = max(max(curve.values) for *_, curve in lines)
    _finish(axes, "F1", lines, min(100.0, max(1.0, highest * 1.1)))
    return figure


def smoothed(curve: Curve, width: float = 0.02) -> Curve:
    """Moving average with Gaussian weights, `width` of the curve's length their standard deviation; it does not lag."""
    count = len(curve.values)
    sigma = width * count
    reach = min(round(3 * sigma), count - 1)
    if reach < 1:
        return curve
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    inside = slice(reach, reach + count)
    there = np.convolve(np.ones(count), weights)[inside]  # less at both ends, where neighbours are missing
    return replace(curve, values=tuple((np.convolve(curve.values, weights)[inside] / there).tolist()))


def _room_for(names: int, form: Form) -> Form:
    return form.taller(names * _HEIGHT_OF_A_NAME - (form.height - form.band - 1.1))


def _lines(runs: Sequence[tuple[RunRecord, Rows]], name: str) -> list[Line]:
    """A metric of each group of runs that has it; unfinished runs show how far they came."""
    rows = {id(record): history for record, history in runs}
    groups = group([record for record, _ in runs])
    styled = zip(groups, looks([group.method for group in groups]), strict=True)
    curves = ((group.label, look, _curve([rows[id(run)] for run in group.runs], name)) for group, look in styled)
    return [(label, look, curve) for label, look, curve in curves if curve]


def _curve(histories: Sequence[Rows], name: str) -> Curve | None:
    """A metric of several histories, averaged: the first values, the second ones and so on, where all have as many
    (other seeds make other windows, so that an epoch ends at another step); else by step, over those that came so far,
    without the last steps of the longest, which are one seed's alone.
    """
    lines = [[(row["step"], row[name]) for row in rows if row.get(name) is not None] for rows in histories]
    if len({len(line) for line in lines}) == 1:
        together = list(zip(*lines, strict=True))
    else:
        at: dict[float, list[tuple[float, float]]] = {}
        for step, value in (point for line in lines for point in line):
            at.setdefault(step, []).append((step, value))
        ends = [line[-1][0] for line in lines if line] or [0]
        end = min(ends) if min(ends) >= _NEARLY * max(ends) else max(ends)
        together = [tuple(at[step]) for step in sorted(at) if step <= end]
    if not together:
        return None
    values = [[value for _, value in points] for points in together]
    spread = tuple(stdev(at_step) if len(at_step) > 1 else 0.0 for at_step in values)
    steps = tuple(fmean(step for step, _ in points) for points in together)
    return Curve(steps, tuple(map(fmean, values)), spread)


def _about(record: RunRecord) -> str:
    return f"{record.model}, seed {record.seed}, {_training_set(record)}"


def _all_about(runs: Sequence[tuple[RunRecord, Rows]], more: str | None) -> str:
    """Encoders and training set, and what else a reader must know."""
    models = list(dict.fromkeys(run.model for run, _ in runs))
    encoders = " and ".join(models) if len(models) < 3 else f"{len(models)} encoders"
    return f"{encoders}, {_training_set(runs[0][0])}" + (f"; {more}" if more else "")


def _training_set(record: RunRecord) -> str:
    train = record.data.get("train")
    return f"{train.examples:,} training questions" if train else "unknown training set"


def _finish(axes: Axes, y: str, lines: Sequence[Line], high: float) -> None:
    """Axes from 0 to the last step and to `high`, and the lines' names."""
    axes.set_ylim(0, high)
    axes.set_xlim(0, max(1, *(curve.steps[-1] for *_, curve in lines)))
    name_axes(axes, "optimiser steps", y)
    name_line_ends(axes, [(name, look, curve.values[-1]) for name, look, curve in lines])


def _finish_losses(axes: Axes, lines: Sequence[Line]) -> None:
    """The axis ends a little above the highest smoothed value: one wild batch must not flatten the rest."""
    highest = max(max(curve.values) for *_, curve in lines)
    _finish(axes, "cross-entropy of start and end", lines, highest * 1.08 or 1.0)
