"""Every prediction is of exactly one kind: right, or wrong in one of five ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from spantune.data.checks.repairs import starts_of
from spantune.data.example import Example
from spantune.scoring.scores import Scores

Kind = Literal["correct", "boundary", "partial", "elsewhere", "empty", "wrongly answered"]
KINDS: Mapping[Kind, str] = {
    "correct": "exact match",
    "boundary": "overlaps an accepted answer in its place, with words too many or too few",
    "partial": "shares words with an accepted answer, but stands elsewhere",
    "elsewhere": "shares no word with an accepted answer",
    "empty": "no answer, where there is one",
    "wrongly answered": "an answer, where there is none",
}
"""What each kind means. The first that holds of: correct, empty or wrongly answered, boundary, partial, elsewhere."""

Fault = Literal["too long", "too short", "shifted"]
Span = tuple[int, int]
"""Characters of the context: the first, and the one after the last."""


def error_kind(example: Example, answer: str, em: float, f1: float, span: Span | None = None) -> Kind:
    """The kind of a prediction.

    Args:
        answer: its text, "" for "no answer".
        em, f1: its scores, 0 to 1: what is correct and what shares words is up to the scorer.
        span: its place. If it is unknown, as for `predictions.json`, the answer counts as a boundary error if any place
            where the context has this text overlaps an accepted answer.
    """
    if em == 1 or (not example.answerable and not answer.strip()):
        return "correct"
    if not example.answerable:
        return "wrongly answered"
    if not answer.strip():
        return "empty"
    if boundary_fault(example, answer, span):
        return "boundary"
    return "partial" if f1 > 0 else "elsewhere"


def boundary_fault(example: Example, answer: str, span: Span | None = None) -> Fault | None:
    """How a prediction's ends are off, by the accepted answer closest to it; None if it overlaps none."""
    places = [span] if span else occurrences(example.context, answer.strip())
    golds = [(gold.start, gold.end) for gold in example.answers]
    closest = max(((_closeness(place, gold), place, gold) for place in places for gold in golds), default=None)
    if closest is None or closest[0] <= 0:
        return None
    _, place, gold = closest
    if place[0] <= gold[0] and gold[1] <= place[1]:
        return "too long"
    return "too short" if gold[0] <= place[0] and place[1] <= gold[1] else "shifted"


def _closeness(span: Span, other: Span) -> float:
    """Characters in both, as a share of their mean length; below 0 if they do not touch."""
    return 2 * (min(span[1], other[1]) - max(span[0], other[0])) / (span[1] - span[0] + other[1] - other[0])


def occurrences(context: str, text: str) -> list[Span]:
    """Every place where the context has the text, overlapping ones too; none for an empty text."""
    return [(at, at + len(text)) for at in starts_of(context, text)] if text else []


def error_kinds(scores: Scores, spans: Mapping[str, Sequence[Mapping[str, Span]]] | None = None) -> list[np.ndarray]:
    """By method (S, Q): the place in `KINDS` of the kind of each run's answer to each question.

    Args:
        spans: by method and run, question id to the prediction's place, where it is known.
    """
    place = {kind: at for at, kind in enumerate(KINDS)}
    made = []
    for method, answers, em_runs, f1_runs in zip(
        scores.methods, scores.answers, scores.em_runs, scores.f1_runs, strict=True
    ):
        known = (spans or {}).get(method, [{}] * len(answers))
        kinds = [
            [
                place[error_kind(example, text, em, f1, places.get(example.id))]
                for example, text, em, f1 in zip(scores.examples, *run, strict=True)
            ]
            for *run, places in zip(answers, em_runs.tolist(), f1_runs.tolist(), known, strict=True)
        ]
        made.append(np.array(kinds, dtype=np.intp))
    return made


@dataclass(frozen=True)
class KindCounts:
    """How many answers of a method are of each kind, the mean over its runs; they add up to the questions.

    Attributes:
        faults: what the boundary errors are.
    """

    method: str
    kinds: dict[Kind, float]
    faults: dict[Fault, float]


def kind_counts(
    scores: Scores,
    spans: Mapping[str, Sequence[Mapping[str, Span]]] | None = None,
    kinds: Sequence[np.ndarray] | None = None,
) -> tuple[KindCounts, ...]:
    """The counts of every method; every kind is there, also with 0.

    Args:
        kinds: what `error_kinds` returns, where it is known already.
    """
    boundary, counts = list(KINDS).index("boundary"), []
    for method, answers, placed in zip(
        scores.methods, scores.answers, kinds or error_kinds(scores, spans), strict=True
    ):
        places = (spans or {}).get(method) or [{}] * len(answers)
        faults = dict.fromkeys(get_args(Fault), 0.0)
        for run, question in np.argwhere(placed == boundary).tolist():
            example = scores.examples[question]
            fault = boundary_fault(example, answers[run][question], places[run].get(example.id))
            assert fault is not None
            faults[fault] += 1 / len(placed)
        shares = {kind: float((placed == at).sum() / len(placed)) for at, kind in enumerate(KINDS)}
        counts.append(KindCounts(method, shares, faults))
    return tuple(counts)
