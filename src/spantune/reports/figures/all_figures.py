"""Every figure of a study's report: its name, what it says, and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from spantune.reports.figures.f1_against_cost import COSTS, f1_against
from spantune.reports.figures.learning_curves import learning_curves, loss_curves
from spantune.reports.figures.score_plots import MOST_IN_A_PANEL, error_kinds, intervals, slices
from spantune.reports.figures.style import Form, Look, looks
from spantune.reports.figures.sweep_plots import sweep_curves, sweep_trials
from spantune.reports.run_groups import by_rule, rule_language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from spantune.reports.judged_answers import Evidence
    from spantune.reports.report import ReportData


@dataclass(frozen=True)
class Plan:
    """A figure that is not drawn yet.

    Attributes:
        name: of its files. title, caption: on the page.
        draw: None if the study has nothing for it.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Form], Figure | None]


def plans(report: ReportData) -> list[Plan]:
    """All that a report of this study may have, in its order."""
    table, evidence, order = report.table, report.evidence, report.compared
    methods = [group.method for group in table.groups]
    styles = dict(zip([group.label for group in table.groups], looks(methods), strict=True))
    bounds = "F1 with its 95% interval; a dotted line parts the ranks."
    made = [Plan("intervals", "F1", bounds, partial(intervals, table, styles))]
    bars = "Bars: 95% intervals." if evidence else "Bars: ± one standard deviation over seeds."
    for cost in COSTS:
        caption = f"F1 against {cost.title.lower()}. {bars} The line joins what no other method beats in both."
        against = partial(f1_against, table.groups, cost, table.standings)
        made.append(Plan(f"f1_against_{cost.name}", cost.title, caption, against))
    grid = "Grey: the first grid. Hollow: added beyond its edge. Ring: chosen. ×: failed."
    each = "Left: the best F1 so far. Then F1 by each setting, whatever the others. Ring: chosen. ×: failed."
    spread = "F1 on the selection split; with several seeds their mean ± one standard deviation."
    average = "Training loss, moving averages; with several seeds their mean."
    made += [
        Plan("sweep", "Sweep", grid, partial(sweep_curves, report.sweeps, styles)),
        Plan("trials", "Trials", each, partial(sweep_trials, report.sweeps, styles)),
        Plan("learning_curves", "F1", spread, partial(learning_curves, report.runs)),
        Plan("loss_curves", "Loss", average, partial(loss_curves, report.runs)),
    ]
    if evidence is not None:
        made += _questions(evidence, order, styles)
    rule = by_rule(rule_language(report.records))
    return [replace(plan, caption=plan.caption + rule * ("F1" in plan.caption)) for plan in made]


def _questions(evidence: Evidence, order: Sequence[str], styles: dict[str, Look]) -> list[Plan]:
    which = f" The first {MOST_IN_A_PANEL} methods of the table." if len(order) > MOST_IN_A_PANEL else ""
    divided = f"F1 by slice with its 95% interval; below each slice its number of questions.{which}"
    wrong = "Share of all questions, by what is wrong with the answer; means over seeds."
    counts = sorted(evidence.counts, key=lambda count: order.index(count.method))
    return [
        Plan("slices", "Slices", divided, partial(slices, evidence.slices, styles, order)),
        Plan("errors", "Errors", wrong, partial(error_kinds, counts, len(evidence.scores.examples))),
    ]
