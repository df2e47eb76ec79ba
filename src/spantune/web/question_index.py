"""A study's reported questions with every method's answer, to be filtered and sorted: what the Explore pages show.

The index keeps numpy columns over the rows of the report's browser (`reports.browser.questions`) in memory. A filter is
a few Boolean operations over (Q, M), and a text search scans each context once: milliseconds a page for 10,570
questions and 10 methods, without a database that has to be kept up to date.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from werkzeug.datastructures import MultiDict

from spantune.errors import UserError
from spantune.reports import browser
from spantune.reports.judged_answers import Incomplete, Judged, judged, read_scores, read_spans
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.disagreements import right_and_wrong
from spantune.scoring.error_kinds import KINDS
from spantune.scoring.statistics import Comparison, compare
from spantune.web.answer_scores import in_groups
from spantune.web.model_colours import groups_of
from spantune.web.models import look_of

PER_PAGE = 10
WHO = {
    "any": "no matter who is right",
    "differ": "methods differ",
    "all": "all are right",
    "none": "none is right",
}
"""Which questions, by how many methods are right."""
ORDERS = {
    "telling": "most disagreement first",
    "hard": "most methods wrong first",
    "easy": "fewest methods wrong first",
    "short": "shortest context first",
    "long": "longest context first",
    "id": "by id",
    "data": "as in the data",
}
SLICES = {
    f"{dimension.name}: {name}": (at, part)
    for at, dimension in enumerate(DIMENSIONS)
    for part, name in enumerate(dimension.slices)
}
"""The kinds of question: by name, the place of the dimension and of the slice in it."""
LONGEST_SEARCH = 200
_KINDS: tuple[str, ...] = tuple(KINDS)


@dataclass(frozen=True)
class QuestionFilters:
    """The questions that are shown; each filter narrows the others.

    Attributes:
        who: of `WHO`. right, wrong: labels of methods that must be right, or wrong.
        kind: of `KINDS`: that of an answer, of the `wrong` methods if any. slice: of `SLICES`.
        words: all must be in question, context or id, in any case. order: of `ORDERS`.
    """

    who: str = "any"
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    kind: str = ""
    slice: str = ""
    words: str = ""
    order: str = "telling"

    @classmethod
    def read(cls, query: MultiDict[str, str], methods: Sequence[str]) -> QuestionFilters:
        """From an address; values that do not exist are ignored."""
        choices: dict[str, Collection[str]] = {"who": WHO, "kind": _KINDS, "slice": SLICES, "order": ORDERS}
        chosen = {name: query[name] for name, values in choices.items() if query.get(name, "") in values}
        right, wrong = (
            tuple(dict.fromkeys(method for method in query.getlist(name) if method in methods))
            for name in ("right", "wrong")
        )
        return cls(right=right, wrong=wrong, words=query.get("words", "").strip()[:LONGEST_SEARCH], **chosen)

    def query(self) -> dict[str, Any]:
        """As an address has them, without defaults."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}


NAMES: tuple[str, ...] = tuple(field.name for field in fields(QuestionFilters))
"""Of the filters, in an address."""


@dataclass(frozen=True)
class QuestionMatches:
    """The questions that fit.

    Attributes:
        rows: of the index, in the requested order. kinds, slices: how many questions each other choice would show.
    """

    rows: np.ndarray
    kinds: Mapping[str, int]
    slices: Mapping[str, int]


@dataclass(frozen=True)
class MethodAnswer:
    """A method's answer to a question.

    Attributes:
        method: its place. look: the class of its marks. start, end: None if the context does not have the answer.
        em, f1: 0 to 100. kind: of `KINDS`. runs, runs_right: how many runs it has, and how many of them are right.
    """

    method: int
    label: str
    look: str
    text: str
    start: int | None
    end: int | None
    right: bool
    em: int
    f1: int
    kind: str
    runs: int
    runs_right: int


@dataclass(frozen=True)
class IndexedQuestion:
    """A question; `place` is that in the reported set, `golds` are accepted places, `slices` dimension and name."""

    place: int
    id: str
    question: str
    context: str
    golds: tuple[tuple[int, int], ...]
    answers: tuple[MethodAnswer, ...]
    slices: tuple[tuple[str, str], ...]

    @property
    def accepted(self) -> tuple[str, ...]:
        """The accepted answers, each once."""
        return tuple(dict.fromkeys(self.context[start:end] for start, end in self.golds))

    @property
    def different(self) -> list[list[MethodAnswer]]:
        """Groups of equal answers, right ones first, then that of most methods."""
        return in_groups(self.answers, lambda answer: (answer.right, (answer.text, answer.start)))


class QuestionIndex:
    """The questions of one study. Its rows are ordered by how much the methods disagree.

    Args:
        places: of the methods in the study's report, for their colours; default: in order.
        statistics: intervals and ties for the study's table.

    Attributes:
        methods: labels, best F1 first. runs: how many each has. looks: the classes of their marks.
        right: (Q, M) bool, by row. right_and_wrong: see `scoring.disagreements`.
    """

    def __init__(self, evidence: Judged, places: Sequence[int] = (), statistics: Comparison | None = None) -> None:
        content = browser.questions(evidence)
        self._rows: Sequence[browser.Row] = content["questions"]
        self._contexts: Sequence[str] = content["contexts"]
        self.methods: tuple[str, ...] = tuple(content["methods"])
        self.runs: tuple[int, ...] = tuple(content["runs"])
        self.places = tuple(places) or tuple(range(len(self.methods)))
        self.looks = list(map(look_of, self.places))
        self.statistics = statistics
        self._place = np.array([row.place for row in self._rows], dtype=np.intp)  # in the data
        self.right = evidence.scores.right[:, self._place].T
        self.right_and_wrong: list[list[int]] = right_and_wrong(evidence.scores).tolist()
        kinds = [[row.kinds[number] for number in row.given] for row in self._rows]
        self._kind = np.array(kinds, dtype=np.int8).reshape(self.right.shape)
        self._slice = np.array([row.slices for row in self._rows], dtype=np.int16)  # (Q, dimensions)
        self._context = np.array([row.context for row in self._rows], dtype=np.intp)
        self._row_of = np.argsort(self._place)  # by place in the data
        self._searched_questions = [f"{row.question} {row.id}".casefold() for row in self._rows]
        self._searched_contexts = [context.casefold() for context in self._contexts]

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, filters: QuestionFilters) -> QuestionMatches:
        """The questions that fit."""
        right, wrong = (list(map(self.methods.index, labels)) for labels in (filters.right, filters.wrong))
        everything = np.ones(len(self), dtype=bool)
        some, every = self.right.any(axis=1), self.right.all(axis=1)
        matching = {"differ": some & ~every, "all": every, "none": ~some}.get(filters.who, everything)
        matching = matching & self.right[:, right].all(axis=1) & ~self.right[:, wrong].any(axis=1)
        matching &= self._by_words(filters.words)
        kinds = self._kind[:, wrong] if wrong else self._kind
        by_kind = {name: (kinds == at).any(axis=1) for at, name in enumerate(_KINDS) if at}
        of_kind = by_kind.get(filters.kind, everything)
        in_slice = everything
        if filters.slice:
            at, part = SLICES[filters.slice]
            in_slice = self._slice[:, at] == part
        counts = [
            np.bincount(self._slice[matching & of_kind, at], minlength=len(dimension.slices)).tolist()
            for at, dimension in enumerate(DIMENSIONS)
        ]
        rows = np.flatnonzero(matching & of_kind & in_slice)
        key = self._keys.get(filters.order)  # rows are ordered by disagreement already
        return QuestionMatches(
            rows if key is None else rows[np.argsort(key[rows], kind="stable")],
            {name: int((matching & in_slice & fits).sum()) for name, fits in by_kind.items()},
            {name: counts[at][part] for name, (at, part) in SLICES.items()},
        )

    def question(self, row: int) -> IndexedQuestion:
        """The question of a row."""
        shown = self._rows[row]
        return IndexedQuestion(
            shown.place,
            shown.id,
            shown.question,
            self._contexts[shown.context],
            tuple(shown.gold_spans),
            tuple(self._answer(row, method) for method in range(len(self.methods))),
            tuple((where.name, where.slices[at]) for where, at in zip(DIMENSIONS, shown.slices, strict=True)),
        )

    def row_of(self, place: int) -> int | None:
        """The row of the question at a place of the reported set; None if there is none."""
        return int(self._row_of[place]) if 0 <= place < len(self) else None

    def _answer(self, row: int, method: int) -> MethodAnswer:
        shown, kind = self._rows[row], int(self._kind[row, method])
        answer = shown.answers[shown.given[method]]
        start, end = (None, None) if isinstance(answer, str) else (answer[0], sum(answer))
        return MethodAnswer(
            method=method,
            label=self.methods[method],
            look=self.looks[method],
            text=answer if start is None else self._contexts[shown.context][start:end],
            start=start,
            end=end,
            right=bool(self.right[row, method]),
            em=100 * (kind == 0),
            f1=shown.f1[shown.given[method]],
            kind=_KINDS[kind],
            runs=self.runs[method],
            runs_right=shown.right[method],
        )

    def _by_words(self, text: str) -> np.ndarray:
        """(Q,) bool"""
        fits = np.ones(len(self), dtype=bool)
        for word in text.casefold().split():
            in_context = np.array([word in context for context in self._searched_contexts], dtype=bool)
            fits &= in_context[self._context] | [word in question for question in self._searched_questions]
        return fits

    @cached_property
    def _keys(self) -> dict[str, np.ndarray]:
        """(Q,) what each order sorts by."""
        right = self.right.sum(axis=1)
        lengths = np.array([len(context) for context in self._contexts], dtype=np.intp)[self._context]
        ranks = np.empty(len(self), dtype=np.intp)  # of the ids
        ranks[sorted(range(len(self)), key=lambda row: self._rows[row].id)] = np.arange(len(self))
        return {
            "hard": right,
            "easy": -right,
            "short": lengths,
            "long": -lengths,
            "id": ranks,
            "data": self._place,
        }


def read_index(study: Path) -> QuestionIndex:
    """The index of a study's folder.

    Raises:
        Incomplete: as `reports.judged_answers.read_scores`, or a record cannot be read.
    """
    try:
        by_place, folders = groups_of(study)
        finished = {place: group for place, group in by_place.items() if group.finished}
        groups = list(finished.values())
        scores = read_scores(groups, folders)
    except UserError as error:
        raise Incomplete(error.problem) from error
    evidence = judged(scores, read_spans(scores, groups, folders))
    return QuestionIndex(evidence, list(finished), compare(scores))
