"""The questions of a report's browser: contexts once, answers as offsets, compressed; and the first few in plain HTML.

Offsets count code points, as everywhere; the page's script does so, too.
"""

from __future__ import annotations

import base64
import gzip
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from spantune.data import Example
from spantune.reports.judged_answers import Judged
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.disagreements import disagreements
from spantune.scoring.error_kinds import KINDS, Span, occurrences

MOST_BYTES = 5_000_000
"""Of the compressed questions, in base64: with everything else, a page stays below 8 MB."""
SHOWN_PLAINLY = 12
"""Questions that a page without scripts shows, and a printed one."""
LETTERS = string.ascii_uppercase + string.ascii_lowercase
"""What marks the answers in a context; more than these get a dot."""
_AROUND = 240  # characters of the context before the first and after the last mark, if it is cut


class Row(NamedTuple):
    """A question with all that is known of it; in the page it is a plain list, whose order is that of these fields.

    Attributes:
        context: place of its context.
        golds: accepted places: start, length, start, length and so on.
        answers: each different one: its place [start, length], or its text where the context does not have it.
        f1, kinds: of each different answer, 0 to 100, and the place of its kind in `scoring.error_kinds.KINDS`.
        given: by method the number of its answer. right: by method how many of its runs are right.
        slices: by dimension the place of its slice. place: of the question in the data.
    """

    context: int
    id: str
    question: str
    golds: list[int]
    answers: list[Any]
    f1: list[int]
    kinds: list[int]
    given: list[int]
    right: list[int]
    slices: list[int]
    place: int

    @property
    def gold_spans(self) -> list[Span]:
        """The accepted places: characters from and to."""
        return [(start, start + length) for start, length in zip(self.golds[::2], self.golds[1::2], strict=True)]


@dataclass(frozen=True)
class Piece:
    """A piece of a context: whether it is part of an accepted answer (`gold`) and of a wrong one, and the letters of
    the answers that end here."""

    text: str
    gold: bool = False
    wrong: bool = False
    ends: str = ""


@dataclass(frozen=True)
class Said:
    """An answer, "" for "no answer", with F1 (0 to 100) and kind, by the methods that gave it (see `questions`).

    Attributes:
        letter: what marks it in the context; "" if the context does not have it.
    """

    letter: str
    text: str
    f1: float
    kind: str
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A question as a page without scripts shows it."""

    id: str
    question: str
    pieces: tuple[Piece, ...]
    answers: tuple[Said, ...]


def questions(evidence: Judged) -> dict[str, Any]:
    """Everything that the browser knows, ready for JSON; the questions that tell methods apart come first.

    A question is a `Row`, and `fields` names its parts. A method with several runs is shown by the first
    run that agrees with most of them on whether the answer is right.
    """
    scores = evidence.scores
    spans = [evidence.spans[name] for name in scores.methods]
    # By method (Q,) the first run whose answer is as right as those of most runs.
    shown_run = [np.argmax((em == 1) == right, axis=0) for em, right in zip(scores.em_runs, scores.right, strict=True)]
    f1, kinds = (
        [runs[which, np.arange(len(which))].round(4).tolist() for runs, which in zip(by_run, shown_run, strict=True)]
        for by_run in (scores.f1_runs, evidence.kinds)
    )
    picked = [which.tolist() for which in shown_run]
    right_runs = np.stack([(em == 1).sum(axis=0) for em in scores.em_runs], axis=1).tolist()  # (Q, M)
    slices = evidence.slice_of.tolist()
    contexts: dict[str, int] = {}
    rows = []
    for at in _order(evidence):
        example = scores.examples[at]
        answers: dict[Any, tuple[float, int]] = {}
        numbers = []
        for method, answers_of_runs in enumerate(scores.answers):
            run = picked[method][at]
            text = answers_of_runs[run][at]
            place = spans[method][run].get(example.id) or nearest_place(example, text)
            key: Any = (place[0], place[1] - place[0]) if place else text
            answers.setdefault(key, (f1[method][at], kinds[method][at]))
            numbers.append(list(answers).index(key))
        golds = dict.fromkeys((gold.start, len(gold.text)) for gold in example.answers)
        rows.append(
            Row(
                context=contexts.setdefault(example.context, len(contexts)),
                id=example.id,
                question=example.question,
                golds=[number for gold in golds for number in gold],
                answers=list(answers),
                f1=[round(100 * score) for score, _ in answers.values()],
                kinds=[kind for _, kind in answers.values()],
                given=numbers,
                right=right_runs[at],
                slices=slices[at],
                place=at,
            )
        )
    return {
        "methods": scores.methods,
        "runs": [len(runs) for runs in scores.em_runs],
        "kinds": list(KINDS),
        "dimensions": [[dimension.name, dimension.slices] for dimension in DIMENSIONS],
        "contexts": list(contexts),
        "fields": Row._fields,
        "questions": rows,
    }


def _order(evidence: Judged) -> list[int]:
    """All questions: those on which methods differ, then those that none gets right, then the rest."""
    scores = evidence.scores
    telling = [disagreement.question for disagreement in disagreements(scores)]
    rest = set(range(len(scores.examples))).difference(telling)
    solved = np.asarray(scores.right.any(axis=0)).tolist()
    return telling + sorted(rest, key=lambda at: (solved[at], at))


def nearest_place(example: Example, text: str) -> Span | None:
    """Where the context has the text, closest to an accepted answer; None if it has not, or for an empty text."""
    places = occurrences(example.context, text.strip())
    golds = [answer.start for answer in example.answers] or [0]
    return min(places, key=lambda place: min(abs(place[0] - gold) for gold in golds), default=None)


def packed(content: Mapping[str, Any], most: int = MOST_BYTES) -> tuple[str, int]:
    """The questions as base64 of gzip of JSON, and how many are in it: as many of the first as `most` bytes hold."""
    rows = content["questions"]
    while True:
        kept = {number: place for place, number in enumerate(dict.fromkeys(row.context for row in rows))}
        cut = {
            "contexts": [content["contexts"][number] for number in kept],
            "questions": [row._replace(context=kept[row.context]) for row in rows],
        }
        text = json.dumps({**content, **cut}, ensure_ascii=False, separators=(",", ":"))
        made = base64.b64encode(gzip.compress(text.encode(), compresslevel=7, mtime=0)).decode("ascii")
        if len(made) <= most or not rows:
            return made, len(rows)
        rows = rows[: int(len(rows) * min(0.9, 0.95 * most / len(made)))]


def shown(content: Mapping[str, Any], most: int = SHOWN_PLAINLY, ids: Sequence[str] | None = None) -> list[Shown]:
    """The first questions as a page without scripts shows them; or those of `ids` in this order, KeyError if one is
    not there."""
    rows = content["questions"]
    if ids is not None:
        by_id = {row.id: row for row in rows}
        return [_shown(content, by_id[wanted]) for wanted in ids]
    return [_shown(content, row) for row in rows[:most]]


def _shown(content: Mapping[str, Any], row: Row) -> Shown:
    context = content["contexts"][row.context]
    answers: list[Said] = []
    marks: list[Mark] = []
    for number, (answer, f1, kind) in enumerate(zip(row.answers, row.f1, row.kinds, strict=True)):
        methods = tuple(name for name, choice in zip(content["methods"], row.given, strict=True) if choice == number)
        text, letter = answer, ""
        if not isinstance(answer, str):
            start, end = answer[0], answer[0] + answer[1]
            text, letter = context[start:end], LETTERS[len(marks)] if len(marks) < len(LETTERS) else "·"
            marks.append(Mark(start, end, letter, kind != 0))
        answers.append(Said(letter, text, f1, content["kinds"][kind], methods))
    return Shown(row.id, row.question, tuple(pieces(context, row.gold_spans, marks)), tuple(answers))


class Mark(NamedTuple):
    """An answer in its context: characters, its letter, and whether it is wrong."""

    start: int
    end: int
    letter: str
    wrong: bool


def pieces(context: str, golds: Sequence[Span], marks: Sequence[Mark]) -> list[Piece]:
    """The context cut wherever an accepted answer or a mark begins or ends; far from all of them it is left out."""
    edges = [edge for span in (*golds, *((mark.start, mark.end) for mark in marks)) for edge in span] or [0]
    first, last = max(min(edges) - _AROUND, 0), min(max(edges) + _AROUND, len(context))
    made = [
        Piece(
            context[start:end],
            any(gold[0] <= start and end <= gold[1] for gold in golds),
            any(mark.start <= start and end <= mark.end and mark.wrong for mark in marks),
            "".join(mark.letter for mark in marks if mark.end == end),
        )
        for start, end in pairwise(sorted({first, last, *edges}))
    ]
    return [*([Piece("… ")] if first else []), *made, *([Piece(" …")] if last < len(context) else [])]
