"""A context cut into pieces, so that the answers of several methods can be marked in it at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from markupsafe import Markup, escape

_UNSEEN = re.compile(
    "[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff]"
)
"""Control characters; those that turn text around could make a page say something else than it does."""


@dataclass(frozen=True)
class Mark:
    """An answer in a context: its characters, the number of its method, and the class of the method's marks.

    Attributes:
        lane: how many other underlines it leaves room for above its own; see `in_lanes`.
    """

    start: int
    end: int
    number: int
    look: str
    lane: int = 0


@dataclass(frozen=True)
class Piece:
    """A piece of the context that is marked in one way throughout.

    Attributes:
        text: letter by letter. start: its first character in the context, in code points.
        gold: whether it is part of an accepted answer. marks: those that it is part of, the lowest lane last.
    """

    text: str
    start: int
    gold: bool = False
    marks: tuple[Mark, ...] = ()


def in_lanes(marks: Sequence[Mark]) -> list[Mark]:
    """The marks in as few lanes as keep overlapping ones apart, long ones next to their text."""
    placed: list[Mark] = []
    for mark in sorted(marks, key=lambda one: (one.start - one.end, one.number)):
        taken = {one.lane for one in placed if one.start < mark.end and mark.start < one.end}
        placed.append(replace(mark, lane=next(lane for lane in range(len(marks)) if lane not in taken)))
    return placed


def cut(context: str, golds: Sequence[tuple[int, int]], marks: Sequence[Mark]) -> list[Piece]:
    """The context cut wherever an accepted answer or a mark begins or ends. The pieces' texts add up to it."""
    edges = {0, len(context), *(edge for gold in golds for edge in gold)}
    edges |= {edge for mark in marks for edge in (mark.start, mark.end)}
    by_lane = sorted(marks, key=lambda one: -one.lane)
    # How many accepted answers begin at an edge, less those that end there: there may be thousands.
    change = Counter(start for start, _ in golds)
    change.subtract(end for _, end in golds)
    ordered = sorted(edges)
    depths = accumulate(change[one] for one in ordered)
    return [
        Piece(
            context[start:end],
            start,
            depth > 0,
            tuple(mark for mark in by_lane if mark.start <= start and end <= mark.end),
        )
        for depth, (start, end) in zip(depths, pairwise(ordered), strict=False)
    ]


def exact(text: str) -> Markup:
    """A text as HTML whose characters are counted as in the source, so that what is selected can be found in it.

    Control characters stay, named by the style sheet and kept from turning what stands around them; a carriage return
    is written so that the parser does not swallow it.
    """
    parts: list[Markup] = []
    at = 0
    for one in _UNSEEN.finditer(text):
        parts += [_escaped(text[at : one.start()]), _UNSEEN_AS.format(f"U+{ord(one[0]):04X}", one[0])]
        at = one.end()
    return Markup("").join([*parts, _escaped(text[at:])])


_UNSEEN_AS = Markup('<span class="unseen" data-name="{}">{}</span>')


def _escaped(text: str) -> Markup:
    return Markup(str(escape(text)).replace("\r", "&#13;").replace("\0", "�"))
