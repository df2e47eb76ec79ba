"""Where methods disagree: who is right when another is wrong, and the questions that tell methods apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spantune.scoring.scores import Scores


@dataclass(frozen=True)
class Disagreement:
    """A question on which methods differ.

    Attributes:
        question: its place in `Scores.examples`. id: its id.
        spread: standard deviation of the methods' F1, in per cent: 50 where half of them have all and half nothing.
        right, wrong: the methods that match exactly (in most of their runs), and the others.
    """

    question: int
    id: str
    spread: float
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def right_and_wrong(scores: Scores) -> np.ndarray:
    """(M, M) counts: entry [a, b] is the number of questions that a gets right and b wrong; the diagonal is 0.

    [a, b] and [b, a] are all that a comparison of the two rests on; where both are large, the two would do better
    together than either alone.
    """
    right = scores.right.astype(np.int64)
    return right @ (1 - right).T


def disagreements(scores: Scores, limit: int | None = None) -> list[Disagreement]:
    """The questions on which methods differ in EM or F1, the most telling first.

    That is, by the spread of F1 over the methods; among equals the shorter context comes first, as it is read faster.
    For what a question can tell about systems: Rodriguez et al., 2021 (https://aclanthology.org/2021.acl-long.346/).
    """
    spread = scores.f1.std(axis=0)
    differing = np.flatnonzero((np.ptp(scores.f1, axis=0) > 0) | (np.ptp(scores.em, axis=0) > 0))
    return [_of(scores, question, spread) for question in _telling(scores, differing, spread)[:limit]]


def only_first_right(scores: Scores, first: str, second: str, limit: int | None = None) -> list[Disagreement]:
    """The questions that `first` gets right and `second` wrong, by how much F1 they differ; ValueError for a method
    that is not among the scores."""
    better, worse = scores.methods.index(first), scores.methods.index(second)
    questions = np.flatnonzero(scores.right[better] & ~scores.right[worse])
    gap, spread = scores.f1[better] - scores.f1[worse], scores.f1.std(axis=0)
    return [_of(scores, question, spread) for question in _telling(scores, questions, gap)[:limit]]


def _telling(scores: Scores, questions: np.ndarray, by: np.ndarray) -> list[int]:
    """The questions by a falling value, then by a rising length of context, then as they came."""
    lengths = np.array([len(scores.examples[question].context) for question in questions.tolist()], dtype=np.intp)
    order = np.lexsort((lengths, -np.round(by[questions], 9)))
    return questions[order].tolist()


def _of(scores: Scores, question: int, spread: np.ndarray) -> Disagreement:
    verdicts = list(zip(scores.methods, scores.right[:, question].tolist(), strict=True))
    right, wrong = (tuple(method for method, good in verdicts if good is wanted) for wanted in (True, False))
    return Disagreement(question, scores.examples[question].id, 100 * float(spread[question]), right, wrong)
