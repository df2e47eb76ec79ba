"""Find an answer in its context when its offset is wrong or absent."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import regex

from spantune.data.example import Answer

_BOUNDARY = regex.compile(r"(?w)\b")


def starts_of(context: str, text: str) -> list[int]:
    """Characters at which the text starts, overlapping places included."""
    starts: list[int] = []
    start = context.find(text)
    while start >= 0:
        starts.append(start)
        start = context.find(text, start + 1)
    return starts


class FoundAnswer(NamedTuple):
    """The place of an answer that was found by its text."""

    answer: Answer
    in_word: bool
    """Whether it begins or ends inside a word, so that another text was probably meant."""


def find_once(context: str, text: str) -> FoundAnswer | None:
    """The only occurrence of the text as words, exact or else up to Unicode normal form and white space.

    Only a text that is nowhere a word is looked for inside words. The answer's text is always the context's own. None
    if there is no occurrence or more than one.
    """
    bare = text.strip()
    lead = len(text) - len(text.lstrip())
    exact = [Answer(text, at) for at in starts_of(context, text)]
    words = [place for place in exact if is_words(context, place.start + lead, place.start + lead + len(bare))]
    alike = [] if words else _alike(context, bare)
    words = words or [place for place in alike if is_words(context, place.start, place.end)]
    if words:
        return FoundAnswer(words[0], False) if len(words) == 1 else None
    inside = exact or alike
    return FoundAnswer(inside[0], True) if len(inside) == 1 else None


def is_words(context: str, start: int, end: int) -> bool:
    """Whether both ends are boundaries of words (Unicode Standard Annex #29)."""
    return bool(_BOUNDARY.match(context, start) and _BOUNDARY.match(context, end))


def _alike(context: str, text: str) -> list[Answer]:
    """The places of the text up to Unicode normal form and white space, in order."""
    folded, spans = _folded(context)
    wanted = _folded(text)[0]
    places = {
        (spans[at][0], spans[at + len(wanted) - 1][1])
        for at in starts_of(folded, wanted)
        if _whole(spans, at, at + len(wanted))
    }
    return [Answer(context[start:end], start) for start, end in sorted(places)]


def _whole(spans: tuple[tuple[int, int], ...], first: int, end: int) -> bool:
    """Whether the folded characters are whole characters of the original (no letter without its accent)."""
    return (first == 0 or spans[first - 1] != spans[first]) and (end == len(spans) or spans[end - 1] != spans[end])


@lru_cache(maxsize=64)
def _folded(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text decomposed (NFD), each run of white space as one blank, and the original span of each character."""
    letters: list[str] = []
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        end = start + 1
        if text[start].isspace():
            while end < len(text) and text[end].isspace():
                end += 1
            piece = " "
        else:
            while end < len(text) and unicodedata.combining(text[end]):
                end += 1
            piece = unicodedata.normalize("NFD", text[start:end])
        letters.append(piece)
        spans += [(start, end)] * len(piece)
        start = end
    return "".join(letters), tuple(spans)
