"""Answer offsets that were counted in another unit than characters, all of a file alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from spantune.data.example import Answer
from spantune.data.readers.raw_row import RawRow


@dataclass(frozen=True)
class OffsetUnit:
    """A way of counting offsets.

    Attributes:
        name: what one of them counts, for messages.
        places: the characters of a context at which each unit starts, -1 if a unit is not a character's first.
    """

    name: str
    places: Callable[[str], Sequence[int]]

    def answer(self, context: str, text: str, offset: int) -> Answer | None:
        """The answer at the offset so counted; None if the text is not there."""
        places = self.places(context)
        if not 0 <= offset < len(places) or (start := places[offset]) < 0:
            return None
        if context.startswith(text, start):
            return Answer(text, start)
        longer = context[start : start + len(text) + text.count("\n")]  # a line end of the text is two characters here
        return Answer(longer, start) if longer.replace("\r\n", "\n") == text else None


def _expanded(widths: Iterable[int]) -> list[int]:
    """For each unit, the character that starts there, -1 inside one; `widths`: units of each character."""
    places: list[int] = []
    for character, width in enumerate(widths):
        places.append(character)
        places.extend([-1] * (width - 1))
    return places


@lru_cache(maxsize=256)
def _utf_16(context: str) -> list[int]:
    return _expanded(1 + (character > "\uffff") for character in context)


@lru_cache(maxsize=256)
def _utf_8(context: str) -> list[int]:
    return _expanded(1 + (letter > "\x7f") + (letter > "\u07ff") + (letter > "\uffff") for letter in context)


def _without_returns(context: str, places: Sequence[int]) -> list[int]:
    """The places without those of each CR of a line end CR LF, so that the LF alone counts."""
    return [place for place in places if place < 0 or context[place : place + 2] != "\r\n"]


@lru_cache(maxsize=256)
def _line_feeds(context: str) -> list[int]:
    return _without_returns(context, range(len(context)))


@lru_cache(maxsize=256)
def _utf_16_line_feeds(context: str) -> list[int]:
    return _without_returns(context, _utf_16(context))


@lru_cache(maxsize=256)
def _utf_8_line_feeds(context: str) -> list[int]:
    return _without_returns(context, _utf_8(context))


@lru_cache(maxsize=256)
def _two_at_line_ends(context: str) -> list[int]:
    return _expanded(1 + (sign == "\n" and context[at - 1 : at] != "\r") for at, sign in enumerate(context))


UNITS = (
    OffsetUnit("UTF-16 units (as JavaScript and Java count)", _utf_16),
    OffsetUnit("bytes of UTF-8", _utf_8),
    OffsetUnit("characters with each line end (CR LF) as one", _line_feeds),
    OffsetUnit("UTF-16 units with each line end (CR LF) as one", _utf_16_line_feeds),
    OffsetUnit("bytes of UTF-8 with each line end (CR LF) as one", _utf_8_line_feeds),
    OffsetUnit("characters with each line end (LF) as two, CR LF", _two_at_line_ends),
)


def offset_unit(rows: Sequence[RawRow]) -> OffsetUnit | None:
    """The unit that explains all offsets of a file; None if they count characters, or no unit explains them all.

    Answers whose text is not in the context at all say nothing. One that the unit does not explain rules it out: a file
    of which only some offsets are wrong keeps its defects.
    """
    answers = [answer for row in rows for answer in _given(row)]
    wrong = [(context, text, start) for context, text, start in answers if not context.startswith(text, start)]
    if not wrong:
        return None
    for unit in UNITS:
        if _explains(unit, wrong) and _explains(unit, answers):
            return unit
    return None


def _given(row: RawRow) -> Iterable[tuple[str, str, int]]:
    """The answers of a row that have a text and a whole number as offset."""
    if isinstance(row.context, str) and isinstance(row.answers, Sequence):
        for text, start in row.answers:
            if isinstance(text, str) and text.strip() and type(start) is int and start >= 0:
                yield row.context, text, start


def _explains(unit: OffsetUnit, answers: Iterable[tuple[str, str, int]]) -> bool:
    explained = 0
    for context, text, start in answers:
        if unit.answer(context, text, start):
            explained += 1
        elif text in context or text in context.replace("\r\n", "\n"):
            return False
    return explained > 0
