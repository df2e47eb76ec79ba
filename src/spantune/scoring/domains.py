"""The drop of a method's score on questions of a domain that it was not trained on."""

from __future__ import annotations

from typing import NamedTuple

from spantune.errors import DataError
from spantune.scoring.bootstrap import RESAMPLES, Interval, Unit, intervals, resampled_means, units_of
from spantune.scoring.scores import Scores
from spantune.scoring.statistics import METRICS, Metric


class Drop(NamedTuple):
    """A method's score on the first set minus that on the second, in points of per cent, with its 95% interval."""

    method: str
    metric: Metric
    points: float
    interval: Interval


def drops(
    first: Scores, second: Scores, *, unit: Unit | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Drop, ...]:
    """The drop of every method and metric. The sets are other questions, so each is resampled by itself.

    Raises:
        DataError: the two do not hold the same methods.
    """
    if first.methods != second.methods:
        raise DataError(
            "the two sets were not answered by the same methods",
            expected=", ".join(first.methods),
            found=", ".join(second.methods),
        )
    means, drawn = [], []
    for number, scores in enumerate((first, second)):
        means.append(100 * scores.columns.mean(axis=0))
        units = units_of(scores.contexts, unit)
        drawn.append(100 * resampled_means(units, scores.columns, resamples=resamples, seed=seed + number)[:, 0])
    names = [(method, metric) for metric in METRICS for method in first.methods]
    rows = zip(names, (means[0] - means[1]).tolist(), intervals(drawn[0] - drawn[1]), strict=True)
    return tuple(Drop(*name, points, interval) for name, points, interval in rows)


def drop_scores(first: Scores, second: Scores) -> dict[str, float]:
    """What the record of a run keeps of its one method's drop: `f1_drop`, and its interval `f1_drop_low`, `..._high`;
    likewise for EM."""
    kept: dict[str, float] = {}
    for drop in drops(first, second):
        name = f"{drop.metric}_drop"
        kept |= {name: drop.points, f"{name}_low": drop.interval.low, f"{name}_high": drop.interval.high}
    return kept
