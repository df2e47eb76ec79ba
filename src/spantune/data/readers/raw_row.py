"""Rows as a source has them, before any check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Answers, or an `is_impossible`, in an unknown form; `detail` describes it."""

    detail: str


class CutText(str):
    """A text that no source has: it is cut out of the context by the offsets of a span."""

    __slots__ = ()


RawAnswers = Sequence[tuple[object, object]] | Unreadable | None


@dataclass(slots=True)
class RawRow:
    """One question as its source has it: every field may be missing or of a wrong type.

    A field that is not there is None. `answers` are pairs (text, answer_start). `one_answer` says that the source has
    one answer a row, so that several rows may be about one question. `left_out` names what the reader skipped, to be
    counted.
    """

    id: object
    question: object
    context: object
    answers: RawAnswers
    impossible: bool | Unreadable | None = None
    title: object = None
    where: str = ""
    one_answer: bool = False
    left_out: tuple[str, ...] = ()


def is_missing(value: object) -> bool:
    """Absent, null, or not-a-number, which is what pandas makes of an empty cell."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def bounded(value: object, depth: int = _DEEPEST) -> object:
    """The value without what is nested so deeply that it cannot be shown: no field of a row holds such a thing."""
    if type(value) is str or type(value) is int or value is None:  # nearly all are, and checks for ABCs are slow
        return value
    if isinstance(value, Mapping):
        return {key: bounded(inner, depth - 1) for key, inner in value.items()} if depth else {}
    if isinstance(value, (list, tuple)):
        return [bounded(inner, depth - 1) for inner in value] if depth else []
    return value
