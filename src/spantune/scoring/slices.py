"""Scores on slices of the questions, each with its number of questions and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spantune.data.example import Example
from spantune.scoring.bootstrap import FEWEST_UNITS, RESAMPLES, Interval, Unit, intervals, resampled_means, units_of
from spantune.scoring.dimensions import DIMENSIONS, Dimension
from spantune.scoring.scores import Scores


@dataclass(frozen=True)
class SliceScore:
    """A method's EM and F1 on a slice, in per cent; the intervals are None if the slice is too small for one."""

    em: float
    f1: float
    em_interval: Interval | None
    f1_interval: Interval | None


@dataclass(frozen=True)
class Slice:
    """Questions that are alike.

    Attributes:
        dimension, name: what they have in common.
        n: how many there are. units: how many contexts (or questions, see `Comparison.unit`) they come from.
        scores: by method, in the order of the scores; empty if the slice is.
        note: why there are no scores or no intervals.
    """

    dimension: str
    name: str
    n: int
    units: int
    scores: dict[str, SliceScore]
    note: str | None = None


def members(examples: Sequence[Example], dimension: Dimension) -> np.ndarray:
    """(slices, Q) bool: each question is in exactly one slice of a dimension."""
    place = {name: at for at, name in enumerate(dimension.slices)}
    places = np.array([place[dimension.of(example)] for example in examples], dtype=np.intp)
    return places == np.arange(len(place))[:, None]


def slice_scores(
    scores: Scores,
    dimensions: Sequence[Dimension] = DIMENSIONS,
    divided: Sequence[np.ndarray] | None = None,
    *,
    unit: Unit | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Every slice of every dimension, empty ones too, by the bootstrap that `statistics.compare` makes.

    The whole set is resampled, and of each resample the slice's mean is taken, so that intervals of slices and of the
    whole come from the same draws. Many slices are many comparisons: of twenty intervals one is expected to miss.

    Args:
        divided: by dimension what `members` returns, where it is known already.
    """
    units = units_of(scores.contexts, unit)
    inside = np.concatenate(divided or [members(scores.examples, dimension) for dimension in dimensions])  # (G, Q)
    names = [(dimension.name, name) for dimension in dimensions for name in dimension.slices]
    sizes = inside.sum(axis=1)
    held = [len(np.unique(units.of[which])) for which in inside]
    kept = np.flatnonzero(sizes).tolist()
    drawn = 100 * resampled_means(units, scores.columns, inside[kept], resamples=resamples, seed=seed)
    few = f"no interval: fewer than {FEWEST_UNITS} {units.unit}s"
    notes = ["no question of this kind" if not count else few if count < FEWEST_UNITS else None for count in held]
    made = {
        at: _scores(scores.methods, scores.columns[inside[at]], None if notes[at] else drawn[:, place])
        for place, at in enumerate(kept)
    }
    return tuple(Slice(*name, int(sizes[at]), held[at], made.get(at, {}), notes[at]) for at, name in enumerate(names))


def _scores(methods: Sequence[str], values: np.ndarray, drawn: np.ndarray | None) -> dict[str, SliceScore]:
    """Of one slice: values (n, 2M) of its questions, and means (R, 2M) over it in every resample."""
    means, count = (100 * values.mean(axis=0)).tolist(), len(methods)
    bounds: Sequence[Interval | None] = [None] * len(means) if drawn is None else intervals(drawn)
    rows = zip(methods, means[:count], means[count:], bounds[:count], bounds[count:], strict=True)
    return {method: SliceScore(*row) for method, *row in rows}
