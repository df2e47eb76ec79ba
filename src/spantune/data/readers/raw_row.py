"""Rows as a source has them, before any check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Answers in an unknown form; `detail` describes them."""

    detail: str


RawAnswers = Sequence[tuple[object, object]] | Unreadable | None


@dataclass(slots=True)
class RawRow:
    """One question as its source has it: every field may be missing or of a wrong type.

    A field that is not there is None. `answers` are pairs (text, answer_start). `one_answer` says that the source has
    one answer a row, so that several rows may be about one question.
    """

    id: object
    question: object
    context: object
    answers: RawAnswers
    impossible: bool | Unreadable | None = None
    title: object = None
    where: str = ""
    one_answer: bool = False


def is_missing(value: object) -> bool:
    """Absent, null, or not-a-number, which is what pandas makes of an empty cell."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def truth(value: object) -> bool | None:
    """A yes or no in any common spelling; None where there is none."""
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            value.strip().lower()
        )
    return None if is_missing(value) or not isinstance(value, (bool, int, float)) else bool(value)


def answer_pairs(value: object, start: object = None) -> RawAnswers:
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
        return [(one["text"], one.get("answer_start")) for one in value]
    return None if is_missing(value) else _zipped(value, start)


def _zipped(texts: object, starts: object) -> RawAnswers:
    if not isinstance(texts, (list, tuple)):
        texts = [texts]
    if is_missing(starts):
        return [(text, None) for text in texts]
    if not isinstance(starts, (list, tuple)):
        starts = [starts]
    if len(starts) != len(texts):
        return Unreadable(f"{len(texts)} texts and {len(starts)} offsets")
    return list(zip(texts, starts, strict=True))
