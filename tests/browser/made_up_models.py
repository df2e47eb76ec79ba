"""Models whose answers are made up: the n-th one answers with three words from the n-th on.

Who asks for the `last` gets them from the end of the context.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from spantune.data import Example
from spantune.data.prediction import Candidate, Prediction
from spantune.web.models import Model


class _Answered(NamedTuple):
    predictions: list[Prediction]
    seconds: float
    windows: int


class _Window(NamedTuple):
    start: int
    end: int
    share: float


class _Inside(NamedTuple):
    """As `spantune.answering.token_probabilities.Inside`, whose module imports torch."""

    spans: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    windows: tuple[_Window, ...]
    won: int = 0
    null_probability: float = 0.0


@dataclass(frozen=True)
class MadeUp:
    """Both the source of the panel and the panel."""

    models: tuple[Model, ...]
    broken: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> MadeUp:
        return self

    def answer(
        self, examples: Sequence[Example], *, n_best: int = 20, names: Sequence[str] | None = None
    ) -> Mapping[str, _Answered]:
        asked = {one.name: one.number for one in self.models if names is None or one.name in names}
        return {
            name: _Answered([_prediction(one, number) for one in examples], 0.0123, len(examples))
            for name, number in asked.items()
        }

    def inside(self, example: Example, *, names: Sequence[str] | None = None) -> Mapping[str, _Inside]:
        spans = np.array([one.span() for one in re.finditer(r"\S+", example.context)])
        one = np.zeros(len(spans))
        one[0] = 1.0
        window = _Window(0, len(example.context), 1.0)
        asked = [one.name for one in self.models if names is None or one.name in names]
        return {name: _Inside(spans, one, one, (window,)) for name in asked}


def _prediction(example: Example, number: int) -> Prediction:
    words = [one.span() for one in re.finditer(r"\S+", example.context)]
    if "last" in example.question:
        number += max(0, len(words) - 9)
    candidates = []
    for length in (3, 2, 1):
        start, end = words[min(number, len(words) - 1)][0], words[min(number + length, len(words)) - 1][1]
        candidates.append(Candidate(example.context[start:end], start, end, float(length), length / 6))
    best = candidates[0]
    return Prediction(
        example.id, best.text, best.start, best.end, best.score, best.probability, 0.0, 0.0, tuple(candidates)
    )
