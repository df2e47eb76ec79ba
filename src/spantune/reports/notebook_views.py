"""Tables and figures of answers that belong to no study: what an `Evidence` says by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods import methods
from spantune.reports.browser import Judged, Shown, questions, shown
from spantune.reports.figures import score_plots
from spantune.reports.figures.style import WIDE, Form, looks
from spantune.reports.judged_answers import Evidence
from spantune.reports.page import render_questions
from spantune.reports.tables.detail_tables import Grid, slices_grids

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def slices(evidence: Evidence) -> dict[str, Grid]:
    """F1 on slices of the questions, by dimension: `question word`, `answer length` and others."""
    return {grid.title: grid for grid in slices_grids(evidence, evidence.methods, least=1)}


def errors_figure(evidence: Evidence, form: Form = WIDE) -> Figure | None:
    """What is wrong with the answers that are, as shares of all questions."""
    counts = sorted(evidence.counts, key=lambda count: evidence.methods.index(count.method))
    return score_plots.error_kinds(counts, len(evidence.scores.examples), form)


def slices_figure(evidence: Evidence, form: Form = WIDE) -> Figure | None:
    """F1 by slice with its 95% interval; None if every dimension has one slice only."""
    names, labels = evidence.methods, {method.label: method.name for method in methods().values()}
    styles = looks([labels.get(name, name) for name in names])  # as the report of a study draws them
    return score_plots.slices(evidence.slices, dict(zip(names, styles, strict=True)), names, form)


@dataclass(frozen=True, repr=False)
class Questions:
    """Questions with their answers marked in the context, which a notebook shows as they are: accepted answers are
    shaded, wrong ones have a wavy line, letters name the answers."""

    shown: tuple[Shown, ...]

    def __repr__(self) -> str:
        return "\n\n".join(map(_plain, self.shown))

    def _repr_html_(self) -> str:
        return render_questions(self.shown)


def telling_questions(evidence: Judged, most: int = 5, ids: Sequence[str] | None = None) -> Questions:
    """The questions that tell methods apart best.

    Args:
        ids: show these instead, in this order; KeyError if one is not there.
    """
    return Questions(tuple(shown(questions(evidence), most, ids)))


def _plain(question: Shown) -> str:
    """As text: accepted answers in brackets, then who said what."""
    context = "".join(f"[{piece.text}]" if piece.gold else piece.text for piece in question.pieces)
    answers = [
        f"  {'right' if answer.kind == 'correct' else answer.kind}: "
        f"{answer.text or 'no answer'} ({', '.join(answer.methods)})"
        for answer in question.answers
    ]
    return "\n".join([question.question, context, *answers])
