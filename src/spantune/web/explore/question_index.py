"""A study's reported questions with every method's answer, to be filtered and sorted: what the Explore pages show.

The index lies in memory, in numpy columns over the rows that the report's browser has (`reports.browser.questions`): a
filter is a handful of Boolean operations over (Q, M), and a text search looks through each context once. For 10,570
questions and 10 methods a page takes milliseconds, so that SQLite with FTS5 would add a file to keep fresh, and its
tokens would find fewer places than a plain search for characters does. It is built once for each study, in the
background (`web.explore.index_cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from spantune.errors import UserError
from spantune.reports import browser
from spantune.reports.figures.style import places
from spantune.reports.judged_answers import Incomplete, Judged, judged, read_scores, read_spans
from spantune.reports.run_groups import group
from spantune.runs import RunRecord
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.disagreements import right_and_wrong
from spantune.scoring.error_kinds import KINDS
from spantune.scoring.statistics import Comparison, compare
from spantune.studies.report import run_folders

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
_KINDS: tuple[str, ...] = tuple(KINDS)


@dataclass(frozen=True)
class Filters:
    """What is looked for; each narrows the others.

    Attributes:
        who: of `WHO`. right, wrong: places of methods that must be right, or wrong.
        kind: of `KINDS`: an answer of this kind, by one of the `wrong` methods where some are named.
        slice: place of the dimension and of the slice in it.
        words: each stands in question, context or id, whatever its case.
        order: of `ORDERS`.
    """

    who: str = "any"
    right: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    kind: str = ""
    slice: tuple[int, int] | None = None
    words: str = ""
    order: str = "telling"


NAMES: tuple[str, ...] = tuple(one.name for one in fields(Filters))
"""Of the filters, in an address."""


@dataclass(frozen=True)
class Found:
    """The questions that fit.

    Attributes:
        rows: their places in the index, in the order that was asked for.
        kinds: by error kind how many there are where everything but the kind fits.
        slices: by dimension and slice how many there are where everything but the slice fits.
    """

    rows: np.ndarray
    kinds: Mapping[str, int]
    slices: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Given:
    """A method's answer to a question.

    Attributes:
        method: its place. start, end: characters of the context; None where the answer stands nowhere.
        em, f1: 0 to 100. kind: of `KINDS`. runs, runs_right: how many runs it has, and how many of them are right.
    """

    method: int
    label: str
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
class Question:
    """A question with what is known about it.

    Attributes:
        place: in the reported set. golds: accepted places. slices: dimension and name.
    """

    place: int
    id: str
    question: str
    context: str
    golds: tuple[tuple[int, int], ...]
    given: tuple[Given, ...]
    slices: tuple[tuple[str, str], ...]

    @property
    def accepted(self) -> tuple[str, ...]:
        """The accepted answers, each once."""
        return tuple(dict.fromkeys(self.context[start:end] for start, end in self.golds))

    @property
    def different(self) -> tuple[tuple[Given, ...], ...]:
        """The answers by what they say: those that are the same stand together, right ones first."""
        alike: dict[Any, list[Given]] = {}
        for one in self.given:
            alike.setdefault((not one.right, one.text, one.start), []).append(one)
        ordered = sorted(alike.items(), key=lambda item: (item[0][0], -len(item[1])))
        return tuple(tuple(some) for _, some in ordered)


class Index:
    """The questions of one study. Its rows are ordered by how much the methods disagree.

    Args:
        evidence: the judged answers.
        places: by method its place in the study's report, which chooses its colour; default: in order.
        statistics: what the study's table says of chance.

    Attributes:
        methods: labels, best F1 first. runs: how many each has.
        right: (Q, M) bool, by row. right_and_wrong: see `scoring.disagreements`.
    """

    def __init__(self, evidence: Judged, places: Sequence[int] = (), statistics: Comparison | None = None) -> None:
        content = browser.questions(evidence)
        self._rows: Sequence[browser.Row] = content["questions"]
        self._contexts: Sequence[str] = content["contexts"]
        self.methods: tuple[str, ...] = tuple(content["methods"])
        self.runs: tuple[int, ...] = tuple(content["runs"])
        self.places = tuple(places) or tuple(range(len(self.methods)))
        self.statistics = statistics
        at = [row.place for row in self._rows]
        self.right = evidence.scores.right[:, at].T
        self.right_and_wrong: list[list[int]] = right_and_wrong(evidence.scores).tolist()
        kinds = [[row.kinds[given] for given in row.given] for row in self._rows]
        self._kind = np.array(kinds, dtype=np.int8).reshape(self.right.shape)
        self._slice = np.array([row.slices for row in self._rows], dtype=np.int16)  # (Q, dimensions)
        self._context = np.array([row.context for row in self._rows], dtype=np.intp)
        self._row_of = np.empty(len(self._rows), dtype=np.intp)  # by place in the data
        self._row_of[at] = np.arange(len(self._rows))
        self._asked = [f"{row.question} {row.id}".casefold() for row in self._rows]
        self._read = [one.casefold() for one in self._contexts]

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, filters: Filters) -> Found:
        """The questions that fit."""
        people, words = self._by_people(filters), self._by_words(filters.words)
        kinds = {kind: self._by_kind(kind, filters.wrong) for kind in _KINDS[1:]}
        kind = kinds.get(filters.kind, np.ones(len(self), dtype=bool))
        inside = np.ones(len(self), dtype=bool)
        if filters.slice is not None:
            inside = self._slice[:, filters.slice[0]] == filters.slice[1]
        others = people & words & kind
        slices = [
            np.bincount(self._slice[others, at], minlength=len(one.slices)).tolist()
            for at, one in enumerate(DIMENSIONS)
        ]
        rows = np.flatnonzero(others & inside)
        counts = {name: int((people & words & inside & fits).sum()) for name, fits in kinds.items()}
        return Found(rows[self._sorted(rows, filters.order)], counts, slices)

    def question(self, row: int) -> Question:
        """That of a row."""
        one = self._rows[row]
        context = self._contexts[one.context]
        return Question(
            one.place,
            one.id,
            one.question,
            context,
            tuple(one.gold_spans),
            tuple(self._given(row, method, context) for method in range(len(self.methods))),
            tuple((where.name, where.slices[at]) for where, at in zip(DIMENSIONS, one.slices, strict=True)),
        )

    def row_of(self, place: int) -> int | None:
        """The row of the question at a place of the reported set; None where there is none."""
        return int(self._row_of[place]) if 0 <= place < len(self) else None

    def _given(self, row: int, method: int, context: str) -> Given:
        one = self._rows[row]
        which = one.given[method]
        said, kind = one.answers[which], int(self._kind[row, method])
        start, end = (None, None) if isinstance(said, str) else (said[0], said[0] + said[1])
        text = said if start is None else context[start:end]
        right = bool(self.right[row, method])
        of_runs = (self.runs[method], one.right[method])
        name = self.methods[method]
        return Given(method, name, text, start, end, right, 100 * (kind == 0), one.f1[which], _KINDS[kind], *of_runs)

    def _by_people(self, filters: Filters) -> np.ndarray:
        """(Q,) bool"""
        some, every = self.right.any(axis=1), self.right.all(axis=1)
        wanted = {"differ": some & ~every, "all": every, "none": ~some}
        fits = np.asarray(wanted.get(filters.who, np.ones(len(self), dtype=bool)))
        return fits & self.right[:, list(filters.right)].all(axis=1) & ~self.right[:, list(filters.wrong)].any(axis=1)

    def _by_kind(self, kind: str, methods: Sequence[int]) -> np.ndarray:
        """(Q,) bool"""
        asked = self._kind[:, list(methods)] if methods else self._kind
        fits: np.ndarray = (asked == _KINDS.index(kind)).any(axis=1)
        return fits

    def _by_words(self, text: str) -> np.ndarray:
        """(Q,) bool"""
        fits = np.ones(len(self), dtype=bool)
        for word in text.casefold().split():
            read = np.fromiter((word in one for one in self._read), dtype=bool, count=len(self._read))
            fits &= read[self._context] | np.fromiter((word in one for one in self._asked), dtype=bool, count=len(self))
        return fits

    def _sorted(self, rows: np.ndarray, order: str) -> np.ndarray:
        """The places in `rows` in an order; those that are equal stay in the order of disagreement."""
        by: dict[str, Callable[[], Any]] = {
            "hard": lambda: self.right[rows].sum(axis=1),
            "easy": lambda: -self.right[rows].sum(axis=1),
            "short": lambda: self._lengths[rows],
            "long": lambda: -self._lengths[rows],
            "id": lambda: self._by_id[rows],
            "data": lambda: [self._rows[row].place for row in rows.tolist()],
        }
        if order not in by:
            return np.arange(len(rows))
        return np.argsort(by[order](), kind="stable")

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.array([len(one) for one in self._contexts], dtype=np.intp)[self._context]

    @cached_property
    def _by_id(self) -> np.ndarray:
        """(Q,) the rank of each row's id."""
        ranks = np.empty(len(self), dtype=np.intp)
        ranks[sorted(range(len(self)), key=lambda row: self._rows[row].id)] = np.arange(len(self))
        return ranks


def read_index(study: Path) -> Index:
    """The index of a study's folder.

    Raises:
        Incomplete: as `reports.judged_answers.read_scores`, or a record cannot be read.
    """
    try:
        runs = run_folders(study)
        records = [RunRecord.read(one.path) for one in runs]
    except UserError as error:
        raise Incomplete(error.problem) from error
    folders = {id(record): folder for record, folder in zip(records, runs, strict=True)}
    every = group(records)
    groups = [one for one in every if one.finished]
    scores = read_scores(groups, folders)
    evidence = judged(scores, read_spans(scores, groups, folders))
    in_report = zip(every, places([one.method for one in every]), strict=True)
    return Index(evidence, [place for one, place in in_report if one.finished], compare(scores))
