"""Plots of an `Evidence`: scores with their intervals, slices, and kinds of error."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spantune.reports.figures import style
from spantune.reports.figures.style import FAINT, GREY, INK, WIDE, Form, Look
from spantune.reports.tables.main_table import Table
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.error_kinds import KINDS, KindCounts
from spantune.scoring.slices import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.36  # inches for a method
MOST_IN_A_PANEL = 6
"""Methods in the plot of slices; the tables have all."""
_FILLS = (("#0072B2", ""), ("#56B4E9", "///"), ("#D55E00", ""), ("#CC79A7", "..."), ("#E69F00", "xxx"))
_KIND_LOOKS = dict(zip(list(KINDS)[1:], _FILLS, strict=True))
"""A colour and a pattern for each kind of error."""


def intervals(table: Table, looks: dict[str, Look], form: Form = WIDE) -> Figure | None:
    """F1 of every method with its 95% interval, in the order of the table; a line parts the ranks."""
    rows = [group for group in table.groups if group.label in table.standings]
    if not rows:
        return None
    form = form.taller(len(rows) * _ROW - (form.height - form.band - 1.1))
    figure, axes = style.new_figure("F1 with its 95% interval", "letters: methods that share one are tied", form)
    for row, group in enumerate(rows):
        standing, look = table.standings[group.label], looks[group.label]
        low, high = standing.f1.interval
        axes.plot([low, high], [row, row], color=look.colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        mark = axes.scatter([standing.f1.mean], [row], color=look.colour, marker=look.marker, s=80, zorder=3)
        style.tip(mark, f"{group.label}: F1 {standing.f1.mean:.1f} ({low:.1f} to {high:.1f}), tied: {standing.letters}")
    ranks = [table.standings[group.label].rank for group in rows]
    for row, (rank, following) in enumerate(pairwise(ranks)):
        if rank != following:
            axes.axhline(row + 0.5, color=GREY, linewidth=0.8, dashes=(2, 3))
    _name_rows(axes, [group.label for group in rows], form)
    for row, group in enumerate(rows):
        text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "color": GREY}
        axes.text(1.012, row, table.standings[group.label].letters, fontsize=11.5, **text)
    style.name_axes(axes, "F1", "")
    return figure


def _name_rows(axes: Axes, names: Sequence[str], form: Form) -> None:
    """Names left of the rows, the first on top; the axes give way to the longest."""
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, parse_math=False, fontsize=11.5 if form.band else 10, color=INK)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=FAINT, linewidth=1)
    widest = max(text.get_window_extent().width for text in axes.get_yticklabels()) / 100
    left, bottom, width, height = axes.get_position().bounds
    room = min((0.2 if form.band else 0.08) + widest + 0.1, 0.55 * form.width) / form.width
    right = left + width - (0.45 if form.band else 0.35) / form.width
    axes.set_position((room, bottom, right - room, height))


def error_kinds(counts: Sequence[KindCounts], questions: int, form: Form = WIDE) -> Figure | None:
    """What is wrong with the answers that are, as shares of all questions, stacked."""
    import matplotlib

    kinds = [kind for kind in _KIND_LOOKS if any(count.kinds[kind] for count in counts)]
    if not kinds:
        return None
    legend = 0.3 if form.band else 0.3 * ((len(kinds) + 1) // 2)
    form = form.taller(len(counts) * _ROW + legend - (form.height - form.band - 1.1))
    figure, axes = style.new_figure(
        "What wrong answers are", f"share of {questions:,} questions, mean over seeds", form
    )
    left = [0.0] * len(counts)
    for kind in kinds:
        colour, hatch = _KIND_LOOKS[kind]
        shares = [100 * count.kinds[kind] / questions for count in counts]
        look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "#ffffff", "linewidth": 0.8}
        with matplotlib.rc_context({"hatch.linewidth": 0.8, "hatch.color": "#ffffff"}):
            bars = axes.barh(range(len(counts)), shares, left=left, height=0.62, label=kind, **look)
        for bar, count, share in zip(bars, counts, shares, strict=True):
            style.tip(bar, f"{count.method}: {kind} {count.kinds[kind]:,.0f} ({share:.1f}%)")
        left = [before + share for before, share in zip(left, shares, strict=True)]
    _name_rows(axes, [count.method for count in counts], form)
    axes.set_xlim(0, max(*left, 1.0) * 1.02)
    style.name_axes(axes, "per cent of the questions", "")
    x, y, width, height = axes.get_position().bounds
    axes.set_position((x, y, width, height - 100 * (legend - 0.25) / axes.figure.bbox.height))
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0 if form.band else -x / width, 1.0)}
    place |= {"frameon": False, "fontsize": 11 if form.band else 10, "ncols": 5 if form.band else 2}
    axes.legend(handlelength=1.4, columnspacing=1.4, borderpad=0.1, **place)
    return figure


def slices(scored: Sequence[Slice], looks: dict[str, Look], methods: Sequence[str], form: Form = WIDE) -> Figure | None:
    """F1 by slice, one panel per dimension, of the first `MOST_IN_A_PANEL` methods; bars are 95% intervals."""
    shown = list(methods)[:MOST_IN_A_PANEL]
    names = [dimension.name for dimension in DIMENSIONS]
    by_dimension = {name: [part for part in scored if part.dimension == name and part.n] for name in names}
    panels = {name: parts for name, parts in by_dimension.items() if len(parts) > 1}
    if not panels or not shown:
        return None
    columns = 2 if form.band else 1
    lines = -(-len(panels) // columns)
    height = 2.75
    head = form.band + (0.35 if form.band else 0.15 + 0.2 * ((len(shown) + 1) // 2))
    form = Form(form.width, head + lines * height + 0.1, form.band)
    which = "" if len(shown) == len(methods) else f" of the {len(shown)} methods that stand first in the table"
    figure = style.empty_figure("F1 by kind of question", f"bars: 95% intervals{which}", form)
    width = form.width / columns
    for number, (dimension, parts) in enumerate(panels.items()):
        line, column = divmod(number, columns)
        left, bottom = column * width + 0.5, head + line * height + 0.3 + height - 1.1
        axes = style.add_panel(figure, form, left, bottom, width - 0.75, height - 1.1)
        _panel(axes, dimension, parts, shown, looks)
    _method_legend(figure, shown, looks, form)
    return figure


def _panel(axes: Axes, dimension: str, parts: Sequence[Slice], shown: Sequence[str], looks: dict[str, Look]) -> None:
    for place, method in enumerate(shown):
        look, shift = looks[method], (place - (len(shown) - 1) / 2) * 0.8 / max(len(shown), 2)
        scores = [part.scores[method] for part in parts]
        bounds = [(at + shift, *score.f1_interval) for at, score in enumerate(scores) if score.f1_interval]
        if bounds:
            axes.vlines(*zip(*bounds, strict=True), color=look.colour, linewidth=1.4, alpha=0.85)
        across = [at + shift for at in range(len(parts))]
        values = [score.f1 for score in scores]
        mark = axes.scatter(across, values, color=look.colour, marker=look.marker, s=22, zorder=3)
        style.tip(mark, method)
    names = [f"{part.name}\n{part.n:,}" for part in parts]
    axes.set_xticks(range(len(parts)), [name.replace(" ", "\n", 1) for name in names], fontsize=8.5)
    axes.tick_params(axis="y", labelsize=9)
    axes.set_xlim(-0.6, len(parts) - 0.4)
    axes.set_title(dimension, loc="left", fontsize=12, fontweight="bold", color=INK, pad=8, parse_math=False)


def _method_legend(figure: Figure, shown: Sequence[str], looks: dict[str, Look], form: Form) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=looks[method].colour, marker=looks[method].marker, label=method, linewidth=0)
        for method in shown
    ]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.2 / form.width, 1 - form.band / form.height)}
    plain: dict[str, Any] = {"frameon": False, "handletextpad": 0.2, "columnspacing": 1.2, "borderpad": 0.0}
    legend = figure.legend(handles=handles, ncols=6 if form.band else 2, fontsize=10.5, **place, **plain)
    for text, method in zip(legend.get_texts(), shown, strict=True):
        text.set_parse_math(False)
        text.set_color(style.darker(looks[method].colour))
