"""Find an answer in its context when its offset is wrong or absent."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from spantune.data.example import Answer


def starts_of(context: str, text: str, at_most: int | None = None) -> list[int]:
    """Characters at which the text starts, overlapping places included."""
    starts: list[int] = []
    start = context.find(text)
    while start >= 0 and (at_most is None or len(starts) < at_most):
        starts.append(start)
        start = context.find(text, start + 1)
    return starts


def find_once(context: str, text: str) -> Answer | None:
    """The only occurrence of the text, exact or else up to Unicode normal form and white space.

    The answer's text is always the context's own. None if there is none or more than one.
    """
    exact = starts_of(context, text, at_most=2)
    if exact:
        return Answer(text, exact[0]) if len(exact) == 1 else None
    folded, spans = _folded(context)
    wanted = _folded(text.strip())[0]
    places = {
        (spans[at][0], spans[at + len(wanted) - 1][1])
        for at in starts_of(folded, wanted)
        if _whole(spans, at, at + len(wanted))
    }
    if len(places) != 1:
        return None
    start, end = next(iter(places))
    return Answer(context[start:end], start)


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
