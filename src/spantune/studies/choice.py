"""Which method to take: the cheapest of those that nothing beats within the limits. Candidates in, a choice out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spantune.reports.run_groups import Group
from spantune.reports.tables import number_format
from spantune.runs import RunRecord
from spantune.scoring.statistics import Comparison, Estimate

COSTS: Mapping[str, str] = {"adapter_mb": "adapter", "latency_ms": "a question", "train_minutes": "training"}
"""What decides between tied methods, by the field of a `MethodCandidate`. Trainable parameters are left out: the size
of the adapter says the same."""
_SHOWN: Mapping[str, Callable[[float], str]] = {
    "f1": lambda value: f"{value:.1f}",
    "adapter_mb": lambda value: number_format.size(1e6 * value),
    "latency_ms": lambda value: f"{value:.3g} ms",
    "train_minutes": lambda value: number_format.duration(60 * value),
    "trainable": lambda value: number_format.count(round(value)),
}
_ALIKE = 1.15
"""Costs whose ratio is below this are not told apart: times differ by as much from run to run."""


@dataclass(frozen=True)
class MethodCandidate:
    """A method of a study, as its finished runs came out. None where a run did not measure it.

    Attributes:
        adapter_mb: 10^6 bytes on disk, of the largest run. latency_ms: of a question by itself (p50), merged where the
            method can be. train_minutes: optimiser steps alone. The last two are means over the runs.
        record: of the first run.
    """

    label: str
    f1: Estimate
    em: float | None
    adapter_mb: float | None
    latency_ms: float | None
    train_minutes: float | None
    trainable: int | None
    record: RunRecord

    @classmethod
    def of(cls, group: Group) -> MethodCandidate | None:
        """None where no run has finished, or none was scored."""
        f1, em, seconds = group.metric("f1"), group.metric("em"), group.timing("train_seconds")
        if f1 is None:
            return None
        adapter = group.largest("adapter_bytes")
        return cls(
            group.label,
            f1,
            em.mean if em else None,
            adapter / 1e6 if adapter else None,
            group.latency,
            seconds.mean / 60 if seconds else None,
            group.parameters("trainable"),
            group.finished[0],
        )

    def shown(self, field: str) -> str:
        """A value as people read it."""
        value = self.value(field)
        return "not measured" if value is None else _SHOWN[field](value)

    def value(self, field: str) -> float | None:
        """A cost, or `f1`."""
        return self.f1.mean if field == "f1" else getattr(self, field)


@dataclass(frozen=True)
class Limit:
    """A limit that the user sets: at most `value` of a field, or, with `least`, at least."""

    flag: str
    field: str
    value: float
    least: bool = False

    def excess(self, candidate: MethodCandidate) -> float:
        """By what factor a candidate is beyond the limit: at most 1 within it, infinite where it was not measured."""
        found = candidate.value(self.field)
        if found is None:
            return math.inf
        above, below = (self.value, found) if self.least else (found, self.value)
        return above / below if below > 0 else (1.0 if above <= below else math.inf)

    def admits(self, candidate: MethodCandidate) -> bool:
        """Whether a candidate is within it."""
        return self.excess(candidate) <= 1

    def __str__(self) -> str:
        return f"{self.flag} {self.value:g}"


@dataclass(frozen=True)
class Choice:
    """What comes out.

    Attributes:
        taken: the recommended one; None where no candidate is within the limits.
        best: within the limits, that with the highest mean F1. tied: those that cannot be told apart from it, it among
            them, the cheapest first.
        runner_up: what would be taken if `taken` were not there.
        front: within the limits, those that no other beats or equals in F1 and in every cost; highest F1 first.
        excluded: the others, each with the limits that it does not keep; the nearest to being admitted first.
    """

    taken: MethodCandidate | None
    best: MethodCandidate | None
    tied: tuple[MethodCandidate, ...]
    runner_up: MethodCandidate | None
    front: tuple[MethodCandidate, ...]
    excluded: tuple[tuple[MethodCandidate, tuple[Limit, ...]], ...]


def choose(candidates: Sequence[MethodCandidate], limits: Sequence[Limit], comparison: Comparison | None) -> Choice:
    """The cheapest of the methods that are tied with the best within the limits.

    Cheapest: the lowest geometric mean of the costs (`COSTS`), which weighs "twice the size" as much as "twice the
    time"; costs that one of them lacks are left out.

    Args:
        comparison: of the candidates by their labels; without one only equal means are tied.
    """
    admitted = [one for one in candidates if all(limit.admits(one) for limit in limits)]
    excluded = [
        (one, tuple(limit for limit in limits if not limit.admits(one))) for one in candidates if one not in admitted
    ]
    excluded.sort(key=lambda pair: (max(limit.excess(pair[0]) for limit in pair[1]), len(pair[1])))
    tied = _tied(admitted, comparison)
    rest = _tied([one for one in admitted if not tied or one is not tied[0]], comparison)
    by_score = sorted(admitted, key=lambda one: -one.f1.mean)
    return Choice(
        tied[0] if tied else None,
        by_score[0] if by_score else None,
        tuple(tied),
        rest[0] if rest else None,
        tuple(one for one in by_score if not any(_dominates(other, one) for other in by_score if other is not one)),
        tuple(excluded),
    )


def _tied(candidates: Sequence[MethodCandidate], comparison: Comparison | None) -> list[MethodCandidate]:
    """Those tied with the highest F1, the cheapest first."""
    if not candidates:
        return []
    best = max(candidates, key=lambda one: one.f1.mean)
    tied = [
        one
        for one in candidates
        if one.f1.mean == best.f1.mean or (comparison is not None and comparison.tied(one.label, best.label))
    ]
    known = [field for field in COSTS if all(one.value(field) for one in tied)]
    return sorted(tied, key=lambda one: (sum(math.log(one.value(field) or 1) for field in known), -one.f1.mean))


def _dominates(one: MethodCandidate, other: MethodCandidate) -> bool:
    """Whether it is at least as good in everything that both have, and better in something."""
    pairs = [(-one.f1.mean, -other.f1.mean)]
    pairs += [(one.value(field), other.value(field)) for field in COSTS]  # type: ignore[misc]
    known = [(first, second) for first, second in pairs if first is not None and second is not None]
    return all(first <= second for first, second in known) and any(first < second for first, second in known)


def costs_against(one: MethodCandidate, other: MethodCandidate) -> list[str]:
    """What `one` costs, with the factor by what `other` does: "adapter 2.7 MB (44×)", "training 3 min (half)"."""
    said = []
    for field, name in COSTS.items():
        first, second = one.value(field), other.value(field)
        if first and second:
            said.append(f"{name} {one.shown(field)} ({_factor(first / second)})")
    return said


def _factor(ratio: float) -> str:
    if max(ratio, 1 / ratio) < _ALIKE:
        return "about the same"
    return f"{ratio:,.0f}×" if ratio >= 9.95 else f"{ratio:.2g}×"
