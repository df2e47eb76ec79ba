"""Scores against costs: parameters, bytes, training time and latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spantune.reports.figures.style import FAINT, GREY, WIDE, Form, Look, looks, name_axes, new_figure, tip
from spantune.reports.figures.text_placement import Box, name_points
from spantune.reports.run_groups import Group
from spantune.reports.tables import number_format
from spantune.scoring.statistics import Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Cost:
    """Something that a method costs; less is better.

    Attributes:
        name: in names of files. title: for people. axis: with its unit. of: its value, None if it was not measured.
        shown: a value as people read it.
    """

    name: str
    title: str
    axis: str
    of: Callable[[Group], float | None]
    shown: Callable[[float], str]
    ticks: tuple[float, ...] = ()
    """Round values for the axis; default: 1, 2 and 5 times powers of ten."""


_MINUTE, _HOUR = 60, 3600
_ROUND_TIMES = (
    *(unit * value for unit in (1, _MINUTE) for value in (1, 2, 5, 10, 30)),
    *(_HOUR * value for value in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
)


_WEIGHTS = "weights of the saved model on disk (logarithmic)"
_STEPS = "optimiser steps, mean over seeds (logarithmic)"
COSTS = (
    Cost(
        "parameters",
        "Trainable parameters",
        "trainable parameters, span head included (logarithmic)",
        lambda of: of.parameters("trainable"),
        lambda value: number_format.count(round(value)),
    ),
    Cost("adapter", "Adapter size", _WEIGHTS, lambda of: of.largest("adapter_bytes"), number_format.size),
    Cost("training", "Training time", _STEPS, lambda of: of.training_seconds, number_format.duration, _ROUND_TIMES),
    Cost(
        "latency",
        "Latency",
        "one question by itself, median; merged where that is possible (logarithmic)",
        lambda of: of.latency,
        lambda value: f"{value:.3g} ms",
    ),
)


@dataclass(frozen=True)
class CostPoint:
    """A method in the plane of cost and F1; `low` and `high` bound what its score may be by chance."""

    label: str
    look: Look
    cost: float
    f1: float
    low: float
    high: float
    tip: str


def points(groups: Sequence[Group], cost: Cost, standings: Mapping[str, Standing]) -> list[CostPoint]:
    """The groups that have an F1 and this cost."""
    made = []
    for group, look in zip(groups, looks([group.method for group in groups]), strict=True):
        f1, value, standing = group.metric("f1"), cost.of(group), standings.get(group.label)
        if not group.finished or f1 is None or value is None or value <= 0:
            continue
        spread = f1.spread or 0.0
        low, high = standing.f1.interval if standing else (f1.mean - spread, f1.mean + spread)
        text = f"{group.label}: F1 {f1.mean:.1f} ({low:.1f} to {high:.1f}), {cost.title.lower()} {cost.shown(value)}"
        made.append(CostPoint(group.label, look, float(value), f1.mean, low, high, text))
    return made


def front(drawn: Sequence[CostPoint]) -> list[CostPoint]:
    """The points that no other beats in cost without losing F1, by rising cost."""
    kept: list[CostPoint] = []
    for point in sorted(drawn, key=lambda point: (point.cost, -point.f1)):
        if not kept or point.f1 > kept[-1].f1:
            kept.append(point)
    return kept


def f1_against(
    groups: Sequence[Group], cost: Cost, standings: Mapping[str, Standing] | None = None, form: Form = WIDE
) -> Figure | None:
    """One point per method with its 95% interval as a bar, or ± one standard deviation over seeds without one. A line
    joins the points that no other beats in both. None if no run measured the cost."""
    drawn = points(groups, cost, standings or {})
    if not drawn:
        return None
    figure, axes = new_figure(f"F1 against {cost.title.lower()}", _about(groups, bool(standings)), form)
    _log_axis(axes, [point.cost for point in drawn], cost, form)
    low, high = min(point.low for point in drawn), max(point.high for point in drawn)
    room = max(0.07 * (high - low), 1.0)
    axes.set_ylim(max(low - room, 0.0) if low >= 0 else low - room, min(high + room, 103.0))
    name_axes(axes, cost.axis if form.band else cost.axis.partition(" (log")[0].partition(";")[0], "F1")
    best = front(drawn)
    steps = [point.cost for point in best], [point.f1 for point in best]
    axes.step(*steps, where="post", color=GREY, linewidth=1, zorder=1)
    for point in drawn:
        at: dict[str, Any] = {"x": point.cost, "y": point.f1}
        bars = [[point.f1 - point.low], [point.high - point.f1]]
        axes.errorbar(**at, yerr=bars, fmt="none", color=point.look.colour, elinewidth=1.6, capsize=4, capthick=1.6)
        mark = axes.scatter(**at, color=point.look.colour, marker=point.look.marker, s=95, zorder=3)
        tip(mark, point.tip)
    taken = [_box(axes, (point.cost, point.low), (point.cost, point.high), 5, 5, 2) for point in drawn]
    for before, after in pairwise(best):  # the steps of the line
        corner = (after.cost, before.f1)
        taken += [_box(axes, (before.cost, before.f1), corner, 0, 1, 1)]
        taken += [_box(axes, corner, (after.cost, after.f1), 0, 1, 1)]
    name_points(axes, [(point.label, point.look, point.cost, point.f1) for point in drawn], taken)
    return figure


def _about(groups: Sequence[Group], intervals: bool) -> str:
    first = next(run for group in groups for run in group.finished)
    used = first.data.get(first.scored_on or "")
    where = f"{first.scored_on} set" + (f", {used.examples:,} questions" if used else "")
    if intervals:
        where += "; bars: 95% intervals"
    elif any(len(group.finished) > 1 for group in groups):
        where += "; bars: ± one standard deviation over seeds"
    return f"{where}; line: what no other method beats in both"


def _log_axis(axes: Axes, values: Sequence[float], cost: Cost, form: Form) -> None:
    """A logarithmic axis around the values, with room for names and never less than a factor of ten on it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.1 * (high - low), (1 - (high - low)) / 2, 0.1) * (1 if form.band else 1.6)
    axes.set_xlim(10 ** (low - room), 10 ** (high + room))
    axes.set_autoscale_on(False)
    decades = high - low + 2 * room
    powers = LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0), numticks=20)
    left, right = axes.get_xlim()
    inside = [tick for tick in cost.ticks if left <= tick <= right]
    few = inside if len(inside) < 6 else inside[::2]
    axes.xaxis.set_major_locator(FixedLocator(few) if cost.ticks else powers)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cost.shown(value).replace(".0 ", " ")))
    axes.grid(axis="x", color=FAINT, linewidth=0.6)


def _box(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], before: float, after: float, around: float
) -> Box:
    """What a line between two points covers, with some pixels before, after, and above and below it."""
    (left, bottom), (right, top) = axes.transData.transform([start, end])
    return (left - before, bottom - around, right + after, top + around)
