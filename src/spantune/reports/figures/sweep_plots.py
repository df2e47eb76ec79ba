"""How a setting was chosen for each method: scores over its grid, the chosen value, and where the grid was extended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spantune.reports.figures.style import FAINT, GREY, INK, WIDE, Form, Look, calm, empty_figure, tip, with_looks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 2.35  # inches
_APART = 0.24  # of the width of a panel, between the numbers below it


@dataclass(frozen=True)
class SweepPoint:
    """A value that was tried.

    Attributes:
        value: of the swept setting.
        f1: on the selection split, 0 to 100; None where the run failed.
        extended: whether it was added because the best value lay at the edge of the grid.
        reason: why it failed.
    """

    value: float
    f1: float | None
    extended: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Sweep:
    """The values that were tried for one method.

    Attributes:
        method: its name in the registry. label: as people write it.
        parameter: the key of the swept setting, such as `learning_rate`.
        chosen: the value that the study went on with.
        note: that the best value is still at the edge of what was tried, and why.
    """

    method: str
    label: str
    parameter: str
    points: tuple[SweepPoint, ...]
    chosen: float | None
    note: str | None = None

    @property
    def at_edge(self) -> bool:
        """Whether a better value may lie beyond the chosen one, as the search saw it."""
        return self.note is not None


def sweep_curves(sweeps: Sequence[Sweep], styles: Mapping[str, Look], form: Form = WIDE) -> Figure | None:
    """A panel a method: F1 on the selection split over the values. The first grid lies on a grey band, hollow points
    were added beyond its edge, a ring marks the chosen value, and a cross one that failed."""
    drawn = [one for one in sweeps if one.points]
    if not drawn:
        return None
    columns = min(4 if form.band else 2, max(len(drawn), 2))
    lines = -(-len(drawn) // columns)
    form = Form(form.width, form.band + lines * _PANEL + 0.35, form.band)
    parameters = {_named(one) for one in drawn}
    parameter = parameters.pop() if len(parameters) == 1 else None
    about = "grey: the first grid; hollow: added beyond its edge; ring: chosen; ×: failed"
    figure = empty_figure(f"F1 on the selection split by {parameter or 'the setting that was swept'}", about, form)
    scored = [point.f1 for one in drawn for point in one.points if point.f1 is not None] or [0.0, 1.0]
    low, high = min(scored), max(scored)
    room = max(0.12 * (high - low), 1.0)
    for number, (one, look) in enumerate(zip(drawn, with_looks_of(styles, [one.label for one in drawn]), strict=True)):
        line, column = divmod(number, columns)
        width = (form.width - 0.35) / columns
        axes = figure.add_axes(
            (
                (0.15 + column * width + 0.38) / form.width,
                1 - (form.band + (line + 1) * _PANEL - 0.5) / form.height,
                (width - 0.48) / form.width,
                (_PANEL - 0.98) / form.height,
            )
        )
        axes.set_ylim(max(low - room, -0.5), high + room)
        _panel(axes, one, look)
        if parameter is None:
            axes.set_xlabel(_named(one), fontsize=10, color=INK, labelpad=4, parse_math=False)
    if parameter is not None:
        figure.text(0.5, 0.12 / form.height, parameter, fontsize=11.5, color=INK, ha="center", parse_math=False)
    return figure


def _named(one: Sweep) -> str:
    return one.parameter.replace("_", " ")


def _panel(axes: Axes, one: Sweep, look: Look) -> None:
    calm(axes)
    points = sorted(one.points, key=lambda point: point.value)
    logarithmic = points[0].value > 0 and points[-1].value / points[0].value > 3
    if logarithmic:
        axes.set_xscale("log")
    first = [point.value for point in points if not point.extended]
    if first:
        axes.axvspan(*_around(first, logarithmic), color=FAINT, alpha=0.6, linewidth=0, zorder=0)
    scored = [(point.value, point.f1) for point in points if point.f1 is not None]
    axes.plot([x for x, _ in scored], [y for _, y in scored], color=look.colour, linewidth=1.6, zorder=2)
    for point in points:
        _mark(axes, one, point, look)
    chosen = [(x, y) for x, y in scored if x == one.chosen]
    if chosen:
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": INK, "linewidths": 1.6, "zorder": 4}
        axes.scatter([x for x, _ in chosen], [y for _, y in chosen], s=190, **ring)
    axes.set_xlim(*_around([point.value for point in points], logarithmic, 1.7))
    _ticks(axes, [point.value for point in points], one.chosen)
    title = one.label + (" (at the edge)" if one.at_edge else "")
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=look.ink, pad=7, parse_math=False)


def _mark(axes: Axes, one: Sweep, point: SweepPoint, look: Look) -> None:
    style: dict[str, Any] = {"s": 42, "zorder": 3, "linewidths": 1.6, "clip_on": False}
    if point.f1 is None:
        mark = axes.scatter([point.value], [axes.get_ylim()[0]], marker="x", color=GREY, **style)
        tip(mark, f"{one.label}, {point.value:g}: failed" + (f", {point.reason}" if point.reason else ""))
        return
    face = "#ffffff" if point.extended else look.colour
    mark = axes.scatter([point.value], [point.f1], marker=look.marker, facecolors=face, edgecolors=look.colour, **style)
    how = ", added beyond the edge" * point.extended + ", chosen" * (point.value == one.chosen)
    tip(mark, f"{one.label}, {point.value:g}: F1 {point.f1:.1f}{how}")


def _around(values: Sequence[float], logarithmic: bool, room: float = 1.35) -> tuple[float, float]:
    if logarithmic:
        return min(values) / room, max(values) * room
    reach = (max(values) - min(values) or abs(values[0]) or 1.0) * 0.12 * room
    return min(values) - reach, max(values) + reach


def _ticks(axes: Axes, values: Sequence[float], chosen: float | None) -> None:
    """Only values that were tried, the chosen one first, and those that leave room for their names."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    low, high = axes.get_xlim()
    logarithmic = axes.get_xscale() == "log"

    def across(value: float) -> float:
        """Where a value stands, 0 to 1."""
        return (math.log(value / low) / math.log(high / low)) if logarithmic else (value - low) / (high - low)

    kept: list[float] = []
    for value in [chosen, *values] if chosen is not None else values:
        if all(abs(across(value) - across(other)) > _APART for other in kept):
            kept.append(value)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_major_formatter(FixedFormatter([short(value) for value in kept]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="both", labelsize=9, pad=4)


def short(value: float) -> str:
    """`0.02`, `3e-4`."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
