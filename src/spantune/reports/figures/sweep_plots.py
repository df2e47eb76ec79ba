"""How settings were chosen for each method: F1 on the selection split by every value that was tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from spantune.reports.figures import style
from spantune.reports.figures.style import FAINT, GREY, INK, WIDE, Form, Look
from spantune.reports.tables import number_format

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVE, _TRIALS = 2.35, 2.0  # inches: height of a panel of each figure
_NAME = 0.32  # inches above the panels of a method
_APART = 0.24  # of the width of a panel, between the numbers below it
_MOST_NAMES = 6  # values of a setting that are named below its panel


@dataclass(frozen=True)
class SweepTrial:
    """A combination of settings that was tried.

    Attributes:
        values: by setting, such as `learning_rate` or `lora.rank`.
        f1: on the selection split, 0 to 100; None if the run failed.
        extended: whether it was added because the best value was at the edge of the grid.
        reason: why it failed.
    """

    values: Mapping[str, Any]
    f1: float | None
    extended: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class SweepCurve:
    """The settings that were tried for one method.

    Attributes:
        method: its name in the registry. label: its name for people.
        trials: in the order in which they were tried.
        chosen: the values that the study continued with.
        note: that the best value is still at the edge of what was tried, and why.
    """

    method: str
    label: str
    trials: tuple[SweepTrial, ...]
    chosen: Mapping[str, Any] | None
    note: str | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The settings that were swept."""
        return tuple(dict.fromkeys(name for trial in self.trials for name in trial.values))

    @property
    def over_one_number(self) -> bool:
        """Whether a single setting was swept, whose values are numbers."""
        return len(self.parameters) == 1 and all(
            number_format.is_number(trial.values.get(self.parameters[0])) for trial in self.trials
        )

    def is_chosen(self, trial: SweepTrial) -> bool:
        """Whether the study continued with the values of a trial."""
        return self.chosen is not None and dict(trial.values) == dict(self.chosen)


def sweep_curves(sweeps: Sequence[SweepCurve], styles: Mapping[str, Look], form: Form = WIDE) -> Figure | None:
    """The sweeps over one number, one panel per method. The first grid is on a grey band, hollow points are beyond its
    edge, a ring marks the chosen value, and a cross one that failed."""
    drawn = [sweep for sweep in sweeps if sweep.over_one_number]
    if not drawn:
        return None
    columns = min(4 if form.band else 2, max(len(drawn), 2))
    form = Form(form.width, form.band + -(-len(drawn) // columns) * _CURVE + 0.35, form.band)
    names = {_readable(sweep.parameters[0]) for sweep in drawn}
    shared = names.pop() if len(names) == 1 else None
    about = "grey: the first grid; hollow: added beyond its edge; ring: chosen; ×: failed"
    figure = style.empty_figure(f"F1 on the selection split by {shared or 'the setting that was swept'}", about, form)
    width = (form.width - 0.35) / columns
    looks = style.with_looks_of(styles, [sweep.label for sweep in drawn])
    for number, (sweep, look) in enumerate(zip(drawn, looks, strict=True)):
        line, column = divmod(number, columns)
        left, bottom = 0.15 + column * width + 0.38, form.band + (line + 1) * _CURVE - 0.5
        axes = style.add_panel(figure, form, left, bottom, width - 0.48, _CURVE - 0.98)
        axes.set_ylim(*_f1_limits(drawn))
        _curve_panel(axes, sweep, look)
        if shared is None:
            _name_x(axes, sweep.parameters[0])
    if shared is not None:
        figure.text(0.5, 0.12 / form.height, shared, fontsize=11.5, color=INK, ha="center", parse_math=False)
    return figure


def sweep_trials(sweeps: Sequence[SweepCurve], styles: Mapping[str, Look], form: Form = WIDE) -> Figure | None:
    """The other sweeps, a line of panels a method: the best F1 so far over the trials, then F1 by each setting. A ring
    marks the chosen combination, a cross one that failed."""
    drawn = [sweep for sweep in sweeps if sweep.trials and not sweep.over_one_number]
    if not drawn:
        return None
    columns = 4 if form.band else 2
    lines = [-(-(1 + len(sweep.parameters)) // columns) for sweep in drawn]
    form = Form(form.width, form.band + sum(lines) * _TRIALS + len(drawn) * _NAME, form.band)
    figure = style.empty_figure("F1 on the selection split, by trial and by setting", "ring: chosen; ×: failed", form)
    width, top = (form.width - 0.3) / columns, form.band
    looks = style.with_looks_of(styles, [sweep.label for sweep in drawn])
    for sweep, look, count in zip(drawn, looks, lines, strict=True):
        place: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "va": "center", "parse_math": False}
        figure.text(0.2 / form.width, 1 - (top + 0.2) / form.height, sweep.label, color=look.ink, **place)
        for number, name in enumerate([None, *sweep.parameters]):
            line, column = divmod(number, columns)
            left, bottom = 0.15 + column * width + 0.4, top + _NAME + (line + 1) * _TRIALS - 0.62
            axes = style.add_panel(figure, form, left, bottom, width - 0.52, _TRIALS - 0.8)
            axes.set_ylim(*_f1_limits(drawn))
            _progress_panel(axes, sweep, look) if name is None else _setting_panel(axes, sweep, name, look)
            axes.tick_params(axis="both", labelsize=9, pad=4)
            _name_x(axes, name or "trials")
        top += _NAME + count * _TRIALS
    return figure


def _f1_limits(sweeps: Sequence[SweepCurve]) -> tuple[float, float]:
    """The same for all panels of a figure."""
    scored = [trial.f1 for sweep in sweeps for trial in sweep.trials if trial.f1 is not None] or [0.0, 1.0]
    room = max(0.12 * (max(scored) - min(scored)), 1.0)
    return max(min(scored) - room, -0.5), max(scored) + room


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _name_x(axes: Axes, name: str) -> None:
    axes.set_xlabel(_readable(name), fontsize=10, color=INK, labelpad=4, parse_math=False)


def _curve_panel(axes: Axes, sweep: SweepCurve, look: Look) -> None:
    """F1 over the values of the one setting."""
    (name,) = sweep.parameters
    trials = sorted(sweep.trials, key=lambda trial: trial.values[name])
    values = [float(trial.values[name]) for trial in trials]
    _number_axis(axes, values, sweep.chosen and sweep.chosen.get(name))
    if first := [value for trial, value in zip(trials, values, strict=True) if not trial.extended]:
        axes.axvspan(*_around(first, axes.get_xscale() == "log"), color=FAINT, alpha=0.6, linewidth=0, zorder=0)
    scored = [(value, trial.f1) for trial, value in zip(trials, values, strict=True) if trial.f1 is not None]
    axes.plot([x for x, _ in scored], [y for _, y in scored], color=look.colour, linewidth=1.6, zorder=2)
    for trial, value in zip(trials, values, strict=True):
        _mark(axes, sweep, trial, value, look)
    title = sweep.label + (" (at the edge)" if sweep.note is not None else "")
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=look.ink, pad=7, parse_math=False)


def _progress_panel(axes: Axes, sweep: SweepCurve, look: Look) -> None:
    """Every trial as a point, the best so far as a line of steps."""
    from matplotlib.ticker import MaxNLocator

    scored = [(number, trial.f1) for number, trial in enumerate(sweep.trials, 1) if trial.f1 is not None]
    if scored:
        numbers, values = zip(*scored, strict=True)
        best = list(accumulate(values, max))
        ends = [*numbers, len(sweep.trials)], [*best, best[-1]]
        axes.step(*ends, where="post", color=look.colour, linewidth=1.8, zorder=2)
    for number, trial in enumerate(sweep.trials, 1):
        _mark(axes, sweep, trial, float(number), look)
    axes.set_xlim(0.4, len(sweep.trials) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _setting_panel(axes: Axes, sweep: SweepCurve, name: str, look: Look) -> None:
    """F1 by one of several settings, whatever the others."""
    tried = [trial for trial in sweep.trials if name in trial.values]
    values = [trial.values[name] for trial in tried]
    if all(map(number_format.is_number, values)):
        _number_axis(axes, values, sweep.chosen and sweep.chosen.get(name))
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
    else:
        values = _name_axis(axes, values)
    for trial, value in zip(tried, values, strict=True):
        _mark(axes, sweep, trial, float(value), look)


def _number_axis(axes: Axes, values: Sequence[float], chosen: Any) -> None:
    """Logarithmic if the values span more than a factor of three. Only values that were tried are named: the chosen
    one first, and those that leave room for their names."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    ordered = sorted(set(values))
    logarithmic = ordered[0] > 0 and ordered[-1] / ordered[0] > 3
    axes.set_xscale("log" if logarithmic else "linear")
    low, high = axes.set_xlim(*_around(ordered, logarithmic, 1.7))

    def across(value: float) -> float:
        """Where a value is on the axis, 0 to 1."""
        return (math.log(value / low) / math.log(high / low)) if logarithmic else (value - low) / (high - low)

    kept: list[float] = []
    for value in [chosen, *ordered] if chosen in ordered else ordered:
        if all(abs(across(value) - across(other)) > _APART for other in kept):
            kept.append(value)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_major_formatter(FixedFormatter([short(value) for value in kept]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="both", labelsize=9, pad=4)


def _name_axis(axes: Axes, values: Sequence[Any]) -> list[float]:
    """A place for each different value, with its name below."""
    places = {name: float(place) for place, name in enumerate(dict.fromkeys(map(str, values)))}
    few = places if len(places) <= _MOST_NAMES else {}
    axes.set_xticks(list(few.values()), list(few), parse_math=False)
    axes.set_xlim(-0.6, len(places) - 0.4)
    return [places[str(value)] for value in values]


def _mark(axes: Axes, sweep: SweepCurve, trial: SweepTrial, x: float, look: Look) -> None:
    """A trial's point, with a ring around the chosen one; a cross at the bottom if it failed."""
    size: dict[str, Any] = {"s": 42, "zorder": 3, "linewidths": 1.6, "clip_on": False}
    values = (f"{_readable(name)} {number_format.shown(value)}" for name, value in trial.values.items())
    what = ", ".join([sweep.label, *([f"{x:g}"] if sweep.over_one_number else values)])
    if trial.f1 is None:
        mark = axes.scatter([x], [axes.get_ylim()[0]], marker="x", color=GREY, **size)
        style.tip(mark, f"{what}: failed" + (f", {trial.reason}" if trial.reason else ""))
        return
    face, chosen = "#ffffff" if trial.extended else look.colour, sweep.is_chosen(trial)
    mark = axes.scatter([x], [trial.f1], marker=look.marker, facecolors=face, edgecolors=look.colour, **size)
    style.tip(mark, f"{what}: F1 {trial.f1:.1f}" + ", added beyond the edge" * trial.extended + ", chosen" * chosen)
    if chosen:
        axes.scatter([x], [trial.f1], s=190, facecolors="none", edgecolors=INK, linewidths=1.6, zorder=4)


def _around(values: Sequence[float], logarithmic: bool, room: float = 1.35) -> tuple[float, float]:
    if logarithmic:
        return min(values) / room, max(values) * room
    reach = (max(values) - min(values) or abs(values[0]) or 1.0) * 0.12 * room
    return min(values) - reach, max(values) + reach


def short(value: float) -> str:
    """`0.02`, `3e-4`."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:g}" if value == int(value) else f"{value:.3g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
