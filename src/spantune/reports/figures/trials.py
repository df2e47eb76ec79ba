"""How several settings were chosen together for each method: the best score so far, and the score by each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from spantune.reports.figures.style import FAINT, GREY, INK, WIDE, Form, Look, calm, empty_figure, tip, with_looks_of
from spantune.reports.figures.sweep_plots import short
from spantune.reports.tables import number_format

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 2.0  # inches
_NAME = 0.32  # inches above a method's panels
_MOST_NAMES = 6  # values of a setting that are named below its panel


@dataclass(frozen=True)
class Trial:
    """A combination that was tried.

    Attributes:
        values: by parameter, such as `lora.rank`. f1: on the selection split, 0 to 100; None where the run failed.
        reason: why it failed.
    """

    values: Mapping[str, Any]
    f1: float | None
    reason: str | None = None


@dataclass(frozen=True)
class WideSweep:
    """A sweep over several settings at once, or over one that is no number.

    Attributes:
        method: its name in the registry. label: as people write it. trials: in the order in which they were tried.
        chosen: the values that the study went on with. note: what a reader must know.
    """

    method: str
    label: str
    trials: tuple[Trial, ...]
    chosen: Mapping[str, Any] | None
    note: str | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in self.trials for name in one.values))


def trials(sweeps: Sequence[WideSweep], styles: Mapping[str, Look], form: Form = WIDE) -> Figure | None:
    """A line of panels a method: the best F1 so far over the trials, then F1 by each setting. A ring marks the chosen
    combination, a cross one that failed."""
    drawn = [one for one in sweeps if one.trials]
    if not drawn:
        return None
    across = 4 if form.band else 2
    lines = [-(-(1 + len(one.parameters)) // across) for one in drawn]
    form = Form(form.width, form.band + sum(lines) * _PANEL + len(drawn) * _NAME, form.band)
    figure = empty_figure("F1 on the selection split, by trial and by setting", "ring: chosen; ×: failed", form)
    scored = [trial.f1 for one in drawn for trial in one.trials if trial.f1 is not None] or [0.0, 1.0]
    room = max(0.12 * (max(scored) - min(scored)), 1.0)
    limits = max(min(scored) - room, -0.5), max(scored) + room
    top = form.band
    for one, look, count in zip(drawn, with_looks_of(styles, [one.label for one in drawn]), lines, strict=True):
        _named(figure, one, look, 1 - (top + 0.2) / form.height, form)
        for number, name in enumerate([None, *one.parameters]):
            line, column = divmod(number, across)
            width = (form.width - 0.3) / across
            axes = figure.add_axes(
                (
                    (0.15 + column * width + 0.4) / form.width,
                    1 - (top + _NAME + (line + 1) * _PANEL - 0.62) / form.height,
                    (width - 0.52) / form.width,
                    (_PANEL - 0.8) / form.height,
                )
            )
            calm(axes)
            axes.set_ylim(*limits)
            _progress(axes, one, look) if name is None else _by_setting(axes, one, name, look)
            axes.tick_params(axis="both", labelsize=9, pad=4)
            label = "trials" if name is None else name.replace("_", " ")
            axes.set_xlabel(label, fontsize=10, color=INK, labelpad=4, parse_math=False)
        top += _NAME + count * _PANEL
    return figure


def _named(figure: Figure, one: WideSweep, look: Look, height: float, form: Form) -> None:
    place: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "va": "center", "parse_math": False}
    figure.text(0.2 / form.width, height, one.label, color=look.ink, **place)


def _progress(axes: Axes, one: WideSweep, look: Look) -> None:
    """Every trial as a point, the best so far as a line of steps."""
    from matplotlib.ticker import MaxNLocator

    counted = list(enumerate(one.trials, 1))
    scored = [(number, trial.f1) for number, trial in counted if trial.f1 is not None]
    if scored:
        numbers, values = zip(*scored, strict=True)
        best = list(accumulate(values, max))
        ends = [*numbers, len(one.trials)], [*best, best[-1]]
        axes.step(*ends, where="post", color=look.colour, linewidth=1.8, zorder=2)
    for number, trial in counted:
        _mark(axes, one, trial, float(number), look)
    axes.set_xlim(0.4, len(one.trials) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _by_setting(axes: Axes, one: WideSweep, name: str, look: Look) -> None:
    tried = [trial for trial in one.trials if name in trial.values]
    values = [trial.values[name] for trial in tried]
    places = _numbers(axes, values) if all(map(number_format.is_number, values)) else _names(axes, values)
    for trial, place in zip(tried, places, strict=True):
        _mark(axes, one, trial, place, look)


def _numbers(axes: Axes, values: Sequence[float]) -> list[float]:
    """An axis of numbers, logarithmic where they span more than a factor of three."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = min(values), max(values)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    if low > 0 and high / low > 3:
        axes.set_xscale("log")
        room = (high / low) ** 0.12
        axes.set_xlim(low / room, high * room)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 20 else (1.0, 2.0, 5.0), numticks=6))
    else:
        room = 0.12 * (high - low or abs(low) or 1.0)
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    return [float(value) for value in values]


def _names(axes: Axes, values: Sequence[Any]) -> list[float]:
    """A place for each different value, which is named below it."""
    names = [str(value) for value in values]
    known = {name: float(place) for place, name in enumerate(dict.fromkeys(names))}
    if len(known) <= _MOST_NAMES:
        axes.set_xticks(list(known.values()), list(known), parse_math=False)
    else:
        axes.set_xticks([])
    axes.set_xlim(-0.6, len(known) - 0.4)
    return [known[name] for name in names]


def _mark(axes: Axes, one: WideSweep, trial: Trial, place: float, look: Look) -> None:
    said = ", ".join(f"{name.replace('_', ' ')} {number_format.shown(value)}" for name, value in trial.values.items())
    style: dict[str, Any] = {"s": 34, "zorder": 3, "linewidths": 1.4, "clip_on": False}
    if trial.f1 is None:
        mark = axes.scatter([place], [axes.get_ylim()[0]], marker="x", color=GREY, **style)
        tip(mark, f"{one.label}, {said}: failed" + (f", {trial.reason}" if trial.reason else ""))
        return
    chosen = one.chosen is not None and dict(trial.values) == dict(one.chosen)
    mark = axes.scatter([place], [trial.f1], marker=look.marker, color=look.colour, alpha=0.8, **style)
    tip(mark, f"{one.label}, {said}: F1 {trial.f1:.1f}" + ", chosen" * chosen)
    if chosen:
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": INK, "linewidths": 1.6, "zorder": 4}
        axes.scatter([place], [trial.f1], s=170, clip_on=False, **ring)
