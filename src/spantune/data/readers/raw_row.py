"""Rows as found in a source, before anything is believed about them: what the doctor examines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class Missing:
    """The type of `MISSING`: a field that is not there."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Answers in a form that is none of the known; `detail` says what was found."""

    detail: str


RawAnswers = Sequence[tuple[object, object]] | Unreadable | Missing


@dataclass(slots=True)
class RawRow:
    """One question as its source has it: every field may be missing or of a wrong type.

    `answers` are pairs (text, answer_start); `impossible` is None where the source does not say.
    """

    id: object
    question: object
    context: object
    answers: RawAnswers
    impossible: bool | None = None
    title: object = ""
    where: str = ""


def is_missing(value: object) -> bool:
    """Absent, null, or not-a-number: what a spreadsheet leaves where nobody wrote."""
    return value is MISSING or value is None or (isinstance(value, float) and math.isnan(value))


def truth(value: object) -> bool | None:
    """A yes or no in any common spelling; None where there is none."""
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            value.strip().lower()
        )
    return None if is_missing(value) or not isinstance(value, (bool, int, float)) else bool(value)


def answer_pairs(value: object, start: object = MISSING) -> RawAnswers:
    """Answers in any known form as pairs (text, answer_start).

    Known: `{"text": [...], "answer_start": [...]}`, a list of `{"text", "answer_start"}` or of texts, one text.
    An `answer_start` beside the value belongs to it.
    """
    if isinstance(value, Mapping):
        if "text" not in value:
            return Unreadable(f"expected the keys 'text' and 'answer_start', found {sorted(map(str, value))}")
        return _zipped(value["text"], value.get("answer_start", start))
    if isinstance(value, (list, tuple)) and any(isinstance(one, Mapping) for one in value):
        if not all(isinstance(one, Mapping) and "text" in one for one in value):
            return Unreadable("expected a list of {'text', 'answer_start'}, found " + str(value)[:60])
        return [(one["text"], one.get("answer_start", MISSING)) for one in value]
    return MISSING if is_missing(value) else _zipped(value, start)


def _zipped(texts: object, starts: object) -> RawAnswers:
    if not isinstance(texts, (list, tuple)):
        texts = [texts]
    if is_missing(starts):
        return [(text, MISSING) for text in texts]
    if not isinstance(starts, (list, tuple)):
        starts = [starts]
    if len(starts) != len(texts):
        return Unreadable(f"{len(texts)} texts and {len(starts)} offsets")
    return list(zip(texts, starts, strict=True))
