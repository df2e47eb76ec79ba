"""A context cut into pieces, so that the answers of several methods can be marked in it at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from markupsafe import Markup, escape

_UNSEEN = re.compile(
    "([\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff])"
)
"""Control characters; those that change the direction of text could make a page read as something else."""
_UNSEEN_AS = Markup('<span class="unseen" data-name="U+{:04X}">{}</span>')


@dataclass(frozen=True)
class AnswerMark:
    """An answer in a context: its characters, the number of its method, and the class of the method's marks.

    `lane` counts the other underlines above its own; see `in_lanes`.
    """

    start: int
    end: int
    number: int
    look: str
    lane: int = 0


@dataclass(frozen=True)
class ContextPiece:
    """A piece of the context with the same marks throughout.

    Attributes:
        start: its first character in the context, in code points. gold: whether it is part of an accepted answer.
        marks: those that it is part of, the lowest lane last.
    """

    text: str
    start: int
    gold: bool
    marks: tuple[AnswerMark, ...]


def in_lanes(marks: Sequence[AnswerMark]) -> list[AnswerMark]:
    """The marks in the fewest lanes that keep overlapping marks apart, long marks next to their text."""
    placed: list[AnswerMark] = []
    for mark in sorted(marks, key=lambda mark: (mark.start - mark.end, mark.number)):
        taken = {other.lane for other in placed if other.start < mark.end and mark.start < other.end}
        placed.append(replace(mark, lane=next(lane for lane in range(len(marks)) if lane not in taken)))
    return placed


def cut(context: str, golds: Sequence[tuple[int, int]], marks: Sequence[AnswerMark]) -> list[ContextPiece]:
    """The context cut wherever an accepted answer or a mark begins or ends. The pieces' texts add up to it."""
    by_lane = sorted(marks, key=lambda mark: -mark.lane)
    # How many accepted answers begin at an edge, less those that end there. There may be thousands.
    change = Counter(start for start, _ in golds)
    change.subtract(end for _, end in golds)
    edges = sorted({0, len(context), *change, *(edge for mark in marks for edge in (mark.start, mark.end))})
    depths = accumulate(change[edge] for edge in edges)
    return [
        ContextPiece(
            context[start:end],
            start,
            depth > 0,
            tuple(mark for mark in by_lane if mark.start <= start and end <= mark.end),
        )
        for depth, (start, end) in zip(depths, pairwise(edges), strict=False)
    ]


def exact(text: str) -> Markup:
    """A text as HTML with the same characters, so that the offsets of a selection are those of the source.

    The style sheet names control characters and isolates them from the text around; carriage returns are escaped,
    since the parser would drop them.
    """
    parts = _UNSEEN.split(text)  # control characters have odd places
    return Markup("").join(
        _UNSEEN_AS.format(ord(part), part) if at % 2 else _escaped(part) for at, part in enumerate(parts)
    )


def _escaped(text: str) -> Markup:
    return Markup(str(escape(text)).replace("\r", "&#13;").replace("\0", "�"))
