"""How sure a comparison is: spread over seeds, intervals over questions, differences of pairs, groups of tied methods.

Two kinds of chance. The seed: another run of the same method would have scored otherwise; `Estimate` shows by how much,
where there are two runs or more. The questions: another set of the same kind would have been scored otherwise; the
bootstrap shows by how much. A method with several runs counts with its mean score on each question, and the questions
are resampled: intervals, p-values and groups then hold for these runs on further questions. Whether they would hold for
further seeds as well, only the spread over seeds can say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Literal

import numpy as np

from spantune.scoring.bootstrap import RESAMPLES, Interval, Unit, intervals, resampled_means, units_of
from spantune.scoring.scores import Scores
from spantune.scoring.significance import ALPHA, holm, letters, p_value, ranks

Metric = Literal["em", "f1"]
METRICS: tuple[Metric, ...] = ("em", "f1")
RANKED_BY: Metric = "f1"


@dataclass(frozen=True)
class Estimate:
    """Mean and sample standard deviation over n runs; `spread` is None for one run."""

    mean: float
    spread: float | None
    n: int

    @property
    def unknown(self) -> str | None:
        """What the runs cannot say; None for two runs or more."""
        return None if self.n > 1 else "one run: how much its score depends on the seed cannot be known"


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Mean and spread of the values that there are."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Estimate(fmean(known), stdev(known) if len(known) > 1 else None, len(known))


@dataclass(frozen=True)
class Score:
    """A metric of a method, in per cent: over its runs, and its interval over questions."""

    over_runs: Estimate
    interval: Interval

    @property
    def mean(self) -> float:
        return self.over_runs.mean


@dataclass(frozen=True)
class Standing:
    """A method's line of the table.

    Attributes:
        rank: methods of one rank are tied, see `significance.ranks`.
        letters: two methods are tied if and only if they share one.
    """

    method: str
    em: Score
    f1: Score
    rank: int
    letters: str


@dataclass(frozen=True)
class Difference:
    """`first` minus `second` in a metric, in points of per cent.

    Attributes:
        interval: 95%, of this difference alone.
        p: two-sided, see `significance.p_value`. p_holm: adjusted for all pairs of the comparison.
        runs_above: pairs (a run of `first`, one of `second`) of which the first scores higher. run_pairs: all of them.
    """

    first: str
    second: str
    metric: Metric
    points: float
    interval: Interval
    p: float
    p_holm: float
    runs_above: int
    run_pairs: int

    @property
    def significant(self) -> bool:
        return self.p_holm <= ALPHA


@dataclass(frozen=True)
class Comparison:
    """Methods compared on the same questions.

    Attributes:
        standings: the table's lines: by rank, then by mean (which within a rank is noise: order it otherwise at will).
        differences: for each metric all pairs, the earlier line minus the later one.
        ranked_by: the metric behind ranks and letters.
        unit: what was resampled. contexts: how many the questions have.
        notes: what a reader of the numbers must know.
        language: of MLQA's rules, by which EM and F1 are; None for the official rule.
    """

    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]
    ranked_by: Metric
    questions: int
    contexts: int
    unit: Unit
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()
    language: str | None = None

    def difference(self, first: str, second: str, metric: Metric = RANKED_BY) -> Difference:
        """The pair in the order in which the table has it; KeyError if there is no such pair."""
        wanted = {first, second}
        for difference in self.differences:
            if difference.metric == metric and {difference.first, difference.second} == wanted:
                return difference
        raise KeyError((first, second, metric))

    def tied(self, first: str, second: str) -> bool:
        """Whether the metric that ranks cannot tell the two apart."""
        return not self.difference(first, second, self.ranked_by).significant


def compare(
    scores: Scores,
    *,
    ranked_by: Metric = RANKED_BY,
    unit: Unit | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Intervals for every method, differences of all pairs with Holm's correction, groups of tied methods.

    Holm's correction is over the pairs of one metric: EM and F1 are two views of one question.

    Args:
        scores: per-question scores, see `scores.score_runs`.
        unit: see `bootstrap.units_of`.
        resamples: default: 10,000, or 100 for each pair where that is more: Holm's correction multiplies a p-value by
            up to the number of pairs, and R resamples show none below 1/(R + 1).
        seed: of the bootstrap; the same one gives the same numbers, in whatever order the methods come.
    """
    units, count = units_of(scores.contexts, unit), len(scores.methods)
    resamples = resamples or max(RESAMPLES, 100 * (count * (count - 1) // 2))
    observed = 100 * (units.sums(scores.columns).sum(axis=0) / len(scores.examples))
    drawn = 100 * resampled_means(units, scores.columns, resamples=resamples, seed=seed)[:, 0]
    drawn = np.ascontiguousarray(drawn.T)  # (2M, R)
    em = _Resampled(scores.methods, scores.em_runs, observed[:count], drawn[:count])
    f1 = _Resampled(scores.methods, scores.f1_runs, observed[count:], drawn[count:])
    by_metric: dict[Metric, _Resampled] = {"em": em, "f1": f1}
    p_values = {metric: resampled.p_values() for metric, resampled in by_metric.items()}
    means = by_metric[ranked_by].observed
    by_mean = sorted(range(count), key=lambda method: (-means[method], scores.methods[method]))
    rank = dict(zip(by_mean, ranks(count, _significant(p_values[ranked_by], by_mean)), strict=True))
    order = sorted(by_mean, key=rank.__getitem__)
    tied = letters(count, _significant(p_values[ranked_by], order))
    return Comparison(
        tuple(
            Standing(scores.methods[method], em.score(method), f1.score(method), rank[method], shared)
            for method, shared in zip(order, tied, strict=True)
        ),
        tuple(
            resampled.difference(metric, first, second, *p_values[metric][frozenset((first, second))])
            for metric, resampled in by_metric.items()
            for first, second in combinations(order, 2)
        ),
        ranked_by,
        len(scores.examples),
        len(np.unique(scores.contexts)),
        units.unit,
        resamples,
        seed,
        (units.note,) if units.note else (),
        scores.language,
    )


_PValues = dict[frozenset[int], tuple[float, float]]
"""p-value and its adjusted one of each pair of methods, which are named by their place in `Scores`."""


def _significant(p_values: _PValues, order: Sequence[int]) -> list[tuple[int, int]]:
    """Places in `order` of the significant pairs, the earlier first."""
    return [
        (earlier, later)
        for earlier, later in combinations(range(len(order)), 2)
        if p_values[frozenset((order[earlier], order[later]))][1] <= ALPHA
    ]


@dataclass(frozen=True, eq=False)
class _Resampled:
    """A metric of M methods in per cent: on the questions (M,), and in every resample (M, R)."""

    methods: tuple[str, ...]
    runs: tuple[np.ndarray, ...]
    observed: np.ndarray
    drawn: np.ndarray

    def pair(self, first: int, second: int) -> tuple[float, np.ndarray]:
        """The difference on the questions, and in every resample (R,)."""
        return float(self.observed[first] - self.observed[second]), self.drawn[first] - self.drawn[second]

    def p_values(self) -> _PValues:
        pairs = list(combinations(range(len(self.methods)), 2))
        raw = [p_value(*self.pair(*pair)) for pair in pairs]
        return {frozenset(pair): (p, adjusted) for pair, p, adjusted in zip(pairs, raw, holm(raw), strict=True)}

    def score(self, method: int) -> Score:
        over_runs = estimate((100 * self.runs[method].mean(axis=1)).tolist())
        assert over_runs is not None
        return Score(over_runs, intervals(self.drawn[method][:, None])[0])

    def difference(self, metric: Metric, first: int, second: int, p: float, p_holm: float) -> Difference:
        points, drawn = self.pair(first, second)
        above = np.greater.outer(self.runs[first].mean(axis=1), self.runs[second].mean(axis=1))
        interval = intervals(drawn[:, None])[0]
        names = self.methods[first], self.methods[second]
        return Difference(*names, metric, points, interval, p, p_holm, int(above.sum()), above.size)
