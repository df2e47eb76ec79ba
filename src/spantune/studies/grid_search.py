"""Which values a sweep tries next, and which it chooses: the grid, and what lies beyond its edges."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spantune.reports.tables.number_format import is_number, shown
from spantune.studies.parameters import Parameter, Range, Values, described
from spantune.studies.record import Point


@dataclass(frozen=True)
class Trial:
    """One point of a sweep.

    Attributes:
        label: names its run folder, and is the same whenever the study is started again.
        extension: 0 on the grid, n after the n-th step beyond its edge.
    """

    label: str
    values: Values
    extension: int = 0


@dataclass(frozen=True)
class Chosen:
    """What a sweep chose.

    Attributes:
        values: None if nothing could be chosen.
        why: in a sentence. edge: in words, if the best value is still the first or last that was tried, and why.
        elsewhere: trials of other workers that were chosen from as well.
    """

    values: Values | None
    why: str
    edge: str | None = None
    elsewhere: tuple[Point, ...] = ()


class Search(Protocol):
    """Gives trials and takes their scores, in any order."""

    def ask(self, room: int) -> list[Trial]:
        """Trials that may run now, `room` at most if the search learns from each; [] while it waits for scores."""

    def tell(self, trial: Trial, f1: float | None) -> None:
        """The score of a trial, 0 to 100; None if its run failed."""

    def drop(self, trial: Trial, why: str) -> None:
        """A trial that is not run after all. The search asks for no more."""

    @property
    def done(self) -> bool:
        """Whether all trials have ended, and there are no more."""

    def chosen(self) -> Chosen:
        """The best of the trials that have ended."""


class GridSearch:
    """Every combination of the values; then steps beyond the edge on which the best one lies.

    Args:
        parameters: with their values. default: the values of a run that sets none.
        extend: most steps beyond an edge. problem: why a value cannot be tried, or None.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        default: Values,
        extend: int,
        problem: Callable[[Parameter, Any], str | None],
    ) -> None:
        self.parameters, self.default, self.extend, self._problem = parameters, default, extend, problem
        self._scores: list[tuple[Trial, float | None]] = []
        self._open: set[str] = set()
        self._steps, self._edge = 0, ""
        self._next = [Trial(label_of(point), point) for point in combinations(parameters)]

    def ask(self, room: int) -> list[Trial]:
        new, self._next = self._next, []
        self._open |= {trial.label for trial in new}
        return new

    def tell(self, trial: Trial, f1: float | None) -> None:
        self._open.remove(trial.label)
        self._scores.append((trial, f1))
        if not self._open and not self._next:
            self._next = self._beyond()

    def drop(self, trial: Trial, why: str) -> None:
        self._open.remove(trial.label)
        self.extend, self._edge = 0, why

    @property
    def done(self) -> bool:
        return not self._open and not self._next

    def chosen(self) -> Chosen:
        best = self._best()
        if best is None:
            return Chosen(None, "no run of the sweep finished")
        trial, f1 = best
        scores = [score for _, score in self._scores if score is not None]
        others = scores.count(f1) - 1
        rank = f"as {others} other{'s' * (others > 1)}, and nearest the default" if others else ""
        edges = "; ".join(edge for parameter in self.parameters if (edge := self._at_edge(parameter, trial)))
        bound = self._edge or f"the bound of {self.extend} extension{'s' * (self.extend != 1)}"
        return Chosen(
            trial.values,
            f"F1 {f1:.1f} on the selection split, {rank or f'the best of {len(scores)}'}",
            f"{edges} ({bound})" if edges else None,
        )

    def _best(self) -> tuple[Trial, float] | None:
        known = [(trial, f1) for trial, f1 in self._scores if f1 is not None]
        return min(known, key=lambda pair: (-pair[1], self._distance(pair[0]), pair[0].label), default=None)

    def _distance(self, trial: Trial) -> float:
        """How far a trial is from the defaults, in factors."""
        return sum(_factor(trial.values[parameter.key], self.default[parameter.key]) for parameter in self.parameters)

    def _tried(self, parameter: Parameter) -> list[Any]:
        return sorted({trial.values[parameter.key] for trial, _ in self._scores})

    def _at_edge(self, parameter: Parameter, best: Trial) -> str | None:
        """In words, whether the best value of a number is the first or last that was tried; runs that failed count."""
        value = best.values[parameter.key]
        if not is_number(value):
            return None
        tried = self._tried(parameter)
        if value not in (tried[0], tried[-1]) or len(tried) < 2:
            return None
        end = "lowest" if value == tried[0] else "highest"
        return f"{described({parameter.key: value})} is the {end} that was tried"

    def _beyond(self) -> list[Trial]:
        """The next values on each side on which the best one lies at the edge; [] if it lies inside."""
        best = self._best()
        if best is None or self._steps >= self.extend:
            return []
        self._edge = ""
        values = best[0].values
        edges = [parameter for parameter in self.parameters if self._at_edge(parameter, best[0])]
        steps = {edge.key: step for edge in edges if (step := self._step(edge, values[edge.key])) is not None}
        self._steps += bool(steps)
        points = [{**values, key: step} for key, step in steps.items()]
        return [Trial(label_of(point), point, self._steps) for point in points]

    def _step(self, parameter: Parameter, edge: Any) -> Any:
        """The next value beyond an edge, by the ratio of the last two; None if there is none, `_edge` says why."""
        tried = self._tried(parameter)
        inner = tried[1] if edge == tried[0] else tried[-2]
        if edge <= 0 or inner <= 0:
            self._edge = "the grid has no ratio there, since 0 is on it"
            return None
        value = edge * edge / inner
        value = round(value) if isinstance(edge, int) else float(f"{value:.2g}")  # 0.033 after 0.003 and 0.01
        problem = f"{shown(value)} is next to it" if value == edge else self._problem(parameter, value)
        if problem:
            self._edge = f"there is nothing beyond: {problem}"
            return None
        return value


def combinations(parameters: Sequence[Parameter]) -> list[Values]:
    """All points of the grid, the last parameter changing fastest."""
    assert not any(isinstance(parameter.values, Range) for parameter in parameters), "a grid has no ranges"
    keys = [parameter.key for parameter in parameters]
    grids: list[Any] = [parameter.values for parameter in parameters]
    return [dict(zip(keys, point, strict=True)) for point in itertools.product(*grids)]


def label_of(values: Values) -> str:
    """A point's `Trial.label`, in characters that any file system takes."""
    label = "-".join(f"{key.rpartition('.')[2].replace('_', '-')}-{shown(value)}" for key, value in values.items())
    return re.sub(r"[^\w.+-]", lambda match: f"%{ord(match[0]):x}", label)


def _factor(value: Any, default: Any) -> float:
    if is_number(value) and is_number(default) and value > 0 and default > 0:
        return abs(math.log(value / default))
    return float(value != default)
