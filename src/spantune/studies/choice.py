"""Which method to choose: the cheapest of those that nothing beats within the limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spantune.reports.run_groups import Group
from spantune.reports.tables import number_format
from spantune.runs import RunRecord
from spantune.scoring.statistics import Comparison, Estimate

_FORMATS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "f1": ("F1", lambda value: f"{value:.1f}"),
    "adapter_mb": ("adapter", lambda value: number_format.size(1e6 * value)),
    "latency_ms": ("a question", lambda value: f"{value:.3g} ms"),
    "train_minutes": ("training", lambda value: number_format.duration(60 * value)),
    "trainable": ("trainable", lambda value: number_format.count(round(value))),
}
FIELDS = tuple(_FORMATS)
"""What is known of a `MethodCandidate`, and what limits are about."""
COSTS = ("adapter_mb", "latency_ms", "train_minutes")
"""What decides between tied methods. Trainable parameters are left out: the size of the adapter says the same."""
_ALIKE = 1.15
"""Costs whose ratio is below this count as equal: times differ by as much from run to run."""


@dataclass(frozen=True)
class MethodCandidate:
    """A method of a study, judged by its finished runs. None for what they did not measure.

    Attributes:
        adapter_mb: 10^6 bytes on disk, of the largest run. latency_ms: of a question by itself (p50), merged if the
            method can be. train_minutes: optimiser steps alone. The last two are means over the runs.
        record: of the first run.
    """

    label: str
    f1: Estimate
    adapter_mb: float | None
    latency_ms: float | None
    train_minutes: float | None
    trainable: int | None
    record: RunRecord

    @classmethod
    def of(cls, group: Group) -> MethodCandidate | None:
        """None if no run has finished, or none was scored."""
        f1, seconds, adapter = group.metric("f1"), group.timing("train_seconds"), group.largest("adapter_bytes")
        if f1 is None:
            return None
        return cls(
            group.label,
            f1,
            adapter / 1e6 if adapter else None,
            group.latency,
            seconds.mean / 60 if seconds else None,
            group.parameters("trainable"),
            group.finished[0],
        )

    def value(self, field: str) -> float | None:
        """The value of one of `FIELDS`."""
        return self.f1.mean if field == "f1" else getattr(self, field)

    def shown(self, field: str) -> str:
        """A value as people read it."""
        value = self.value(field)
        return "not measured" if value is None else _FORMATS[field][1](value)

    def named(self, field: str) -> str:
        """A value with its name: `adapter 2.7 MB`."""
        return f"{_FORMATS[field][0]} {self.shown(field)}"


@dataclass(frozen=True)
class Limit:
    """A limit that the user sets. key: of the setting, `max_` or `min_` before one of `FIELDS`."""

    key: str
    value: float

    @property
    def field(self) -> str:
        return self.key[4:]

    def excess(self, candidate: MethodCandidate) -> float:
        """By what factor a candidate is beyond the limit: at most 1 within it, infinite if it was not measured."""
        measured = candidate.value(self.field)
        if measured is None:
            return math.inf
        above, below = (self.value, measured) if self.key.startswith("min") else (measured, self.value)
        return above / below if below > 0 else math.inf

    def admits(self, candidate: MethodCandidate) -> bool:
        """Whether a candidate is within it."""
        return self.excess(candidate) <= 1

    def __str__(self) -> str:
        return f"--{self.key.replace('_', '-')} {self.value:g}"


@dataclass(frozen=True)
class Choice:
    """The cheapest of the methods that are tied with the best within the limits.

    Cheapest: the lowest geometric mean of the `COSTS`, which weighs "twice the size" as much as "twice the
    time"; costs that one of them lacks are left out.

    Attributes:
        candidates: methods with a finished run, in the table's order.
        comparison: of the candidates by their labels; without one only equal means are tied.
    """

    candidates: tuple[MethodCandidate, ...]
    limits: tuple[Limit, ...]
    comparison: Comparison | None

    @property
    def admitted(self) -> tuple[MethodCandidate, ...]:
        """Those within the limits, the highest mean F1 first."""
        admitted = [candidate for candidate in self.candidates if all(limit.admits(candidate) for limit in self.limits)]
        return tuple(sorted(admitted, key=lambda candidate: -candidate.f1.mean))

    @property
    def excluded(self) -> tuple[tuple[MethodCandidate, tuple[Limit, ...]], ...]:
        """The others, each with the limits that it does not keep; the nearest to being admitted first."""
        missed = [(row, tuple(limit for limit in self.limits if not limit.admits(row))) for row in self.candidates]
        excluded = [(candidate, limits) for candidate, limits in missed if limits]
        return tuple(sorted(excluded, key=lambda pair: (max(limit.excess(pair[0]) for limit in pair[1]), len(pair[1]))))

    @property
    def tied(self) -> tuple[MethodCandidate, ...]:
        """Those that cannot be told apart from the best within the limits, itself among them, the cheapest first."""
        return self._tied(self.admitted)

    @property
    def taken(self) -> MethodCandidate | None:
        """The recommended one; None if no candidate is within the limits."""
        return next(iter(self.tied), None)

    @property
    def runner_up(self) -> MethodCandidate | None:
        """The choice if there were no `taken`."""
        taken = self.taken
        return next(iter(self._tied([candidate for candidate in self.admitted if candidate is not taken])), None)

    @property
    def front(self) -> tuple[MethodCandidate, ...]:
        """Those within the limits that no other beats or equals in F1 and in every cost; highest F1 first."""
        admitted = self.admitted
        return tuple(candidate for candidate in admitted if not any(_dominates(other, candidate) for other in admitted))

    def _tied(self, ranked: Sequence[MethodCandidate]) -> tuple[MethodCandidate, ...]:
        """Those tied with the first, the cheapest first."""
        tied = [
            candidate
            for candidate in ranked
            if candidate.f1.mean == ranked[0].f1.mean
            or (self.comparison is not None and self.comparison.tied(candidate.label, ranked[0].label))
        ]
        known = [field for field in COSTS if all(candidate.value(field) for candidate in tied)]
        return tuple(
            sorted(tied, key=lambda row: (sum(math.log(row.value(field) or 1) for field in known), -row.f1.mean))
        )


def _dominates(candidate: MethodCandidate, other: MethodCandidate) -> bool:
    """Whether it is at least as good in everything that both have, and better in something."""
    pairs = [(-candidate.f1.mean, -other.f1.mean)]
    pairs += [(candidate.value(field), other.value(field)) for field in COSTS]  # type: ignore[misc]
    known = [(first, second) for first, second in pairs if first is not None and second is not None]
    return all(first <= second for first, second in known) and any(first < second for first, second in known)


def costs_against(candidate: MethodCandidate, other: MethodCandidate) -> list[str]:
    """The candidate's costs, with their ratio to those of `other`: "adapter 2.7 MB (44×)", "training 3 min (0.5×)"."""
    pairs = [(field, candidate.value(field), other.value(field)) for field in COSTS]
    return [f"{candidate.named(field)} ({_factor(mine / its)})" for field, mine, its in pairs if mine and its]


def _factor(ratio: float) -> str:
    if max(ratio, 1 / ratio) < _ALIKE:
        return "about the same"
    return f"{ratio:,.0f}×" if ratio >= 9.95 else f"{ratio:.2g}×"
