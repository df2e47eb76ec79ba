"""Questions and scores made up for the tests: no reader, no scorer, no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spantune.data import Answer, Example
from spantune.scoring.scores import Scores


def questions(contexts: Sequence[int]) -> tuple[Example, ...]:
    """One for each number, on the context of that number."""
    return tuple(
        Example(f"q{place}", "What does it hold?", f"Text {context} holds words.", (Answer("words", 13),))
        for place, context in enumerate(contexts)
    )


def scores_of(
    em: Mapping[str, Sequence[Sequence[float]]],
    f1: Mapping[str, Sequence[Sequence[float]]] | None = None,
    contexts: Sequence[int] | None = None,
    examples: Sequence[Example] | None = None,
) -> Scores:
    """From scores of runs by method: F1 equals EM unless given; each question has a context of its own unless given."""
    exact = {method: np.atleast_2d(np.asarray(runs, dtype=np.float64)) for method, runs in em.items()}
    shared = {method: np.atleast_2d(np.asarray(runs, dtype=np.float64)) for method, runs in (f1 or em).items()}
    count = next(iter(exact.values())).shape[1]
    asked = tuple(examples or questions(range(count) if contexts is None else contexts))
    answers = tuple(tuple(("",) * count for _ in runs) for runs in exact.values())
    return Scores(tuple(em), asked, answers, tuple(exact.values()), tuple(shared.values()))
