"""EM and F1 of several methods on the same questions, as arrays; every other module here starts from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from spantune.data.example import Example
from spantune.errors import DataError
from spantune.scoring.official_metrics import Rules, question_scores, rules_for

Answers = Mapping[str, str]
"""Question id to answer, "" for "no answer": the content of a run's `predictions.json`."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What M methods scored on Q questions. A method has one run or more, which differ in their seed.

    Attributes:
        methods: (M) names.
        examples: (Q) the questions; every array and every answer is in their order.
        answers: by method and run, (Q) answers.
        em_runs, f1_runs: by method, (S, Q) scores of its S runs, 0 to 1.
        language: of MLQA's rules, by which the answers were compared; None for the official rule.
    """

    methods: tuple[str, ...]
    examples: tuple[Example, ...]
    answers: tuple[tuple[tuple[str, ...], ...], ...]
    em_runs: tuple[np.ndarray, ...]
    f1_runs: tuple[np.ndarray, ...]
    language: str | None = None

    @cached_property
    def em(self) -> np.ndarray:
        """(M, Q) exact match, 0 to 1: the mean over a method's runs."""
        return np.stack([runs.mean(axis=0) for runs in self.em_runs])

    @cached_property
    def f1(self) -> np.ndarray:
        """(M, Q) F1, 0 to 1: the mean over a method's runs."""
        return np.stack([runs.mean(axis=0) for runs in self.f1_runs])

    @cached_property
    def right(self) -> np.ndarray:
        """(M, Q) bool: whether more than half of a method's runs match exactly."""
        return self.em > 0.5

    @cached_property
    def contexts(self) -> np.ndarray:
        """(Q,) the number of each question's context, counted from 0 in order of appearance."""
        known: dict[str, int] = {}
        return np.array([known.setdefault(example.context, len(known)) for example in self.examples], dtype=np.intp)

    @cached_property
    def columns(self) -> np.ndarray:
        """(Q, 2M) EM of every method, then F1 of every method."""
        return np.vstack([self.em, self.f1]).T


def score_runs(
    examples: Sequence[Example],
    answers: Mapping[str, Sequence[Answers]],
    rules: Rules | None = None,
    language: str | None = None,
) -> Scores:
    """Score every run of every method on the same questions.

    Args:
        examples: the questions.
        answers: by method, the answers of each of its runs.
        rules, language: as in `scoring.official_metrics.score`.

    Raises:
        DataError: there is nothing to score, or a run answered other questions.
    """
    if not examples or not answers or not all(answers.values()):
        raise DataError(
            "there is nothing to compare",
            expected="at least one question, and one run of every method",
            found=f"{len(examples)} questions, {sum(map(bool, answers.values()))} of {len(answers)} methods with a run",
        )
    named = {
        method if len(runs) == 1 else f"{method}, run {number}": run
        for method, runs in answers.items()
        for number, run in enumerate(runs, 1)
    }
    refuse_other_questions([example.id for example in examples], named)
    ordered = [tuple(run[example.id] for example in examples) for run in named.values()]
    em, f1 = _scored(examples, ordered, rules_for(examples, rules=rules), language)
    edges = [0, *np.cumsum([len(runs) for runs in answers.values()]).tolist()]
    parts = [slice(*pair) for pair in pairwise(edges)]
    texts = tuple(tuple(ordered[part]) for part in parts)
    em_runs, f1_runs = (tuple(rows[part] for part in parts) for rows in (em, f1))
    return Scores(tuple(answers), tuple(examples), texts, em_runs, f1_runs, language)


def refuse_other_questions(ids: Sequence[str], runs: Mapping[str, Answers]) -> None:
    """DataError unless every run answered exactly the questions `ids`; it says how many differ, and which."""
    wanted = set(ids)
    differing = [name for name, answers in runs.items() if answers.keys() != wanted]
    if not differing:
        return
    answers = runs[differing[0]]
    missing = [name for name in ids if name not in answers]
    unknown = [name for name in answers if name not in wanted]
    kinds = (("without an answer", missing), ("that are not among them", unknown))
    problems = [f"{len(some)} {what}: {_some(some)}" for what, some in kinds if some]
    others = f" ({len(differing)} of {len(runs)} runs differ: {_some(differing)})" if len(differing) > 1 else ""
    raise DataError(
        f"the predictions are for different questions{others}",
        where=differing[0],
        expected=f"an answer to each of the {len(ids)} questions, and to no other",
        found="; ".join(problems),
        fix="score every run on the same data before they are compared (`spantune evaluate`)",
    )


def _some(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join(map(repr, names[:shown])) + (", …" if len(names) > shown else "")


def _scored(
    examples: Sequence[Example], runs: Sequence[Sequence[str]], rules: Rules, language: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """EM and F1, (runs, Q) each. Methods often agree, so an answer that several runs gave is scored once.

    In round k the k-th different answer to each question is scored: one call of the scorer for each round.
    """
    distinct = [list(dict.fromkeys(texts)) for texts in zip(*runs, strict=True)]  # by question
    place: list[dict[str, tuple[float, float]]] = [{} for _ in examples]
    for number in range(max(map(len, distinct))):
        at = [index for index, texts in enumerate(distinct) if len(texts) > number]
        answers = {examples[index].id: distinct[index][number] for index in at}
        scored = question_scores([examples[index] for index in at], answers, rules=rules, language=language)
        for index in at:
            place[index][distinct[index][number]] = scored[examples[index].id]
    pairs = np.array([[place[index][text] for index, text in enumerate(run)] for run in runs], dtype=np.float64)
    return np.ascontiguousarray(pairs[..., 0]), np.ascontiguousarray(pairs[..., 1])
