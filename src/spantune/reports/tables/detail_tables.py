"""The tables after the first one: differences, slices, kinds of error, speed, further sets, no answer. One model for
page, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from spantune.reports.judged_answers import Evidence
from spantune.reports.run_groups import Group, by_rule
from spantune.reports.tables import number_format
from spantune.reports.tables.main_table import escaped, markdown_lines
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.error_kinds import KINDS
from spantune.scoring.statistics import Score


@dataclass(frozen=True, repr=False)
class Grid:
    """A titled table of texts; the first column names the rows. A notebook shows it as it is."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    about: str = ""

    def __repr__(self) -> str:
        return f"{self.title}\n\n{self.to_markdown()}"

    def _repr_markdown_(self) -> str:
        return f"**{escaped(self.title)}**\n\n{self.to_markdown()}"

    def to_markdown(self) -> str:
        """Without its title."""
        lines = markdown_lines(self.header, self.rows)
        return "\n".join([*([escaped(self.about), ""] if self.about else []), *lines]) + "\n"


def differences_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """One row per pair and metric."""
    names = ("metric", "first", "second", "points", "low", "high", "p", "p_holm", "significant", "runs_above")
    return [
        {name: getattr(pair.interval if name in ("low", "high") else pair, name) for name in (*names, "run_pairs")}
        for pair in evidence.comparison.differences
    ]


def slices_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """One row per slice and method; of an empty slice one without a method."""
    rows = []
    for part in evidence.slices:
        for method, score in part.scores.items() or [("", None)]:
            row: dict[str, Any] = {"dimension": part.dimension, "slice": part.name, "questions": part.n}
            row |= {"contexts": part.units, "method": method}
            for name in ("em", "f1"):
                bounds = getattr(score, f"{name}_interval", None) or (None, None)
                row |= {name: getattr(score, name, None), f"{name}_low": bounds[0], f"{name}_high": bounds[1]}
            rows.append(row | {"note": part.note or ""})
    return rows


def errors_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """One row per method: answers of each kind, means over seeds."""
    return [{"method": row.method} | dict(row.kinds.items()) | dict(row.faults.items()) for row in evidence.counts]


def slices_grids(evidence: Evidence, methods: Sequence[str], least: int = 2) -> list[Grid]:
    """One table per dimension that has so many slices at least; empty slices are named and not shown."""
    grids = []
    for dimension in DIMENSIONS:
        parts = [part for part in evidence.slices if part.dimension == dimension.name]
        rows = [
            (part.name, f"{part.n:,}", *(f"{part.scores[method].f1:.1f}" for method in methods))
            for part in parts
            if part.n
        ]
        empty = [part.name for part in parts if not part.n]
        few = [f"{part.name} ({part.note})" for part in parts if part.n and part.note]
        about = f"F1 by {dimension.rule}." + (f" No questions: {', '.join(empty)}." if empty else "")
        about += f" {'; '.join(few)}." if few else ""
        if len(rows) >= least:
            about += by_rule(evidence.comparison.language)
            grids.append(Grid(dimension.name, ("Slice", "Questions", *methods), tuple(rows), about))
    return grids


def standings(evidence: Evidence) -> Grid:
    """EM and F1 with 95% intervals, rank and letters: who is tied with whom."""
    comparison = evidence.comparison

    def shown(score: Score) -> str:
        return f"{number_format.with_spread(score.over_runs)} ({score.interval.low:.1f}–{score.interval.high:.1f})"

    rows = [(row.method, str(row.rank), row.letters, shown(row.f1), shown(row.em)) for row in comparison.standings]
    about = f"In brackets: 95% intervals over {comparison.questions:,} questions."
    about += (" Methods that share a letter are tied." if len(rows) > 1 else "") + by_rule(comparison.language)
    return Grid("Scores", ("Method", "Rank", "Tied", "F1", "EM"), tuple(rows), about)


def differences(evidence: Evidence) -> Grid:
    """F1 of every pair, the earlier line of the table minus the later one, with interval and corrected p-value."""
    comparison = evidence.comparison
    rows = [
        (
            f"{difference.first} − {difference.second}",
            f"{difference.points:+.1f}",
            f"{difference.interval.low:+.1f} to {difference.interval.high:+.1f}",
            f"{difference.p_holm:.3f}" if difference.p_holm >= 0.001 else "< 0.001",
            "yes" if difference.significant else "no, tied",
        )
        for difference in comparison.differences
        if difference.metric == comparison.ranked_by
    ]
    about = f"In points of {comparison.ranked_by.upper()}; p-values by Holm's correction for all pairs."
    about += by_rule(comparison.language)
    return Grid("Differences", ("Pair", "Points", "95% interval", "p", "Significant"), tuple(rows), about)


def errors(evidence: Evidence, groups: Sequence[Group] = ()) -> Grid:
    """How many answers are of each kind of error; and right in meaning, if the groups' runs measured that."""
    kinds = [kind for kind in KINDS if any(count.kinds[kind] for count in evidence.counts)]
    counts = {count.method: count for count in evidence.counts}
    meaning = {group.label: group.score("reported", "right_in_meaning") for group in groups}
    measured = any(meaning.values())
    rows = []
    for name in evidence.methods:
        faults = " / ".join(f"{value:,.0f}" for value in counts[name].faults.values())
        rescued = [number_format.mean(meaning.get(name), ",.0f")] if measured else []
        rows.append((name, *(f"{counts[name].kinds[kind]:,.0f}" for kind in kinds), faults, *rescued))
    header = ("Method", *(kind.capitalize() for kind in kinds), "Too long / short / shifted")
    about = "; ".join(f"{kind}: {KINDS[kind]}" for kind in kinds) + ". Means over seeds."
    about += " Right in meaning: wrong by EM, but close to an accepted answer in meaning." if measured else ""
    about += by_rule(evidence.comparison.language)
    return Grid("Kinds of error", header + (("Right in meaning",) if measured else ()), tuple(rows), about)


def speed_grid(groups: Sequence[Group]) -> Grid | None:
    """How fast the trained models answer; None if no run measured it."""
    rows = [
        (group.label, form, *(f"{fmean(getattr(speed, key) for speed in speeds):,.3g}" for key in _SPEEDS))
        for group in groups
        for form in ("merged", "unmerged")
        if (speeds := [run.answering[form] for run in group.finished if form in run.answering])
    ]
    header = ("Method", "Form", "p50 ms", "p95 ms", "Questions/s")
    about = (
        "Milliseconds for a question by itself, and questions a second in batches, on the machine that trained, "
        "or that the run's notes name."
    )
    return Grid("Speed of the trained models", header, tuple(rows), about) if rows else None


_SPEEDS = ("latency_p50_ms", "latency_p95_ms", "questions_per_second")


def further_grid(groups: Sequence[Group]) -> Grid | None:
    """F1 on further sets, and what is lost there; None without any."""
    names = list(dict.fromkeys(name for group in groups for run in group.finished for name in run.further))
    if not names:
        return None
    rows = [(group.label, *(_further(group, name) for name in names)) for group in groups if group.finished]
    about = "F1, and the drop from the reported set with its 95% interval (of the first seed)." + by_rule(
        groups[0].language
    )
    return Grid("Further sets", ("Method", *names), tuple(rows), about)


def _further(group: Group, name: str) -> str:
    f1 = group.score(name, "f1")
    if f1 is None:
        return number_format.NOTHING
    kept = group.finished[0].metrics.get(name, {})
    drop, low, high = (kept.get(key) for key in ("f1_drop", "f1_drop_low", "f1_drop_high"))
    if drop is None or low is None or high is None or drop < 0:
        return number_format.with_spread(f1)
    return f"{number_format.with_spread(f1)} (−{drop:.1f}: {low:.1f} to {high:.1f})"


def null_grid(groups: Sequence[Group]) -> Grid | None:
    """How well the models know what they cannot answer (v2.0); None if no run measured it."""
    if not any(group.score("reported", "calibration_error") for group in groups):
        return None
    about = (
        "Threshold and temperature were fitted on the selection split. AUC: the chance that a question without an "
        "answer is told from one with. Area: mean error over all shares of questions, the surest first."
        + by_rule(groups[0].language)
    )
    rows = [
        (group.label, *(number_format.mean(group.score("reported", key), form) for key, _, form in _NULL_COLUMNS))
        for group in groups
        if group.finished
    ]
    header = ("Method", *(title for _, title, _ in _NULL_COLUMNS))
    return Grid("Questions without an answer", header, tuple(rows), about)


_NULL_COLUMNS = (
    ("null_threshold", "Threshold", ".2f"),
    ("null_auc", "AUC", ".3f"),
    ("risk_coverage_area", "Risk–coverage area", ".3f"),
    ("risk_coverage_best", "Best possible", ".3f"),
    ("calibration_error", "Calibration error", ".3f"),
    ("calibration_error_scaled", "With temperature", ".3f"),
)
