"""Tables and figures of answers that belong to no study: what an `Evidence` says by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spantune.methods import methods
from spantune.reports.figures import score_plots
from spantune.reports.figures.style import WIDE, Form, looks
from spantune.reports.judged_answers import Evidence
from spantune.reports.tables import detail_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def standings(evidence: Evidence) -> detail_tables.Grid:
    """EM and F1 with 95% intervals, rank and letters: who is tied with whom."""
    return detail_tables.standings_grid(evidence.comparison)


def differences(evidence: Evidence) -> detail_tables.Grid:
    """F1 of every pair, with interval and corrected p-value."""
    return detail_tables.differences_grid(evidence.comparison)


def errors(evidence: Evidence) -> detail_tables.Grid:
    """How many answers are of each kind of error."""
    return detail_tables.kinds_grid(evidence)


def slices(evidence: Evidence) -> dict[str, detail_tables.Grid]:
    """F1 on slices of the questions, by dimension: `question word`, `answer length` and others."""
    return {one.title: one for one in detail_tables.slices_grids(evidence, evidence.methods, least=1)}


def errors_figure(evidence: Evidence, form: Form = WIDE) -> Figure | None:
    """What is wrong with the answers that are, as shares of all questions."""
    counts = sorted(evidence.counts, key=lambda one: evidence.methods.index(one.method))
    return score_plots.error_kinds(counts, len(evidence.scores.examples), form)


def slices_figure(evidence: Evidence, form: Form = WIDE) -> Figure | None:
    """F1 by slice with its 95% interval; None where every dimension has one slice only."""
    names, labels = evidence.methods, {one.label: one.name for one in methods().values()}
    found = looks([labels.get(name, name) for name in names])  # as the report of a study draws them
    return score_plots.slices(evidence.slices, dict(zip(names, found, strict=True)), names, form)
