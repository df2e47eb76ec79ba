"""What kinds of question there are: seven ways to divide a set into slices, each by a rule that anyone can repeat."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from spantune.data.example import Example
from spantune.scoring.answer_types import ANSWER_TYPES, answer_type
from spantune.scoring.words import main_answer, overlap, sentence_at, words

NO_ANSWER = "none"
"""The slice of questions without an answer, if a dimension is about the answer."""

_ASKING = {
    **{word: word for word in ("what", "when", "where", "why", "which", "how", "who")},
    **{"whom": "who", "whose": "who"},
}
_LETTERS = re.compile(r"[^\W\d_]+")
_ANSWER_WORDS = (2, 3, 5, 9)
_CONTEXT_WORDS = (100, 150, 200, 400)
_QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Dimension:
    """A way to divide questions.

    Attributes:
        slices: every value that `of` can return, in the order of a table.
        of: the slice of an example.
        rule: what `of` does, for the reader of a report.
    """

    name: str
    slices: tuple[str, ...]
    of: Callable[[Example], str]
    rule: str


def question_word(example: Example) -> str:
    """The first English question word, wherever it is; `other` if there is none, as in other languages."""
    words = _LETTERS.findall(example.question.lower())
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in _ASKING:
            return "how many" if word == "how" and following in ("many", "much") else _ASKING[word]
    return "other"


def answer_length(example: Example) -> str:
    """Words of the answer, in bins."""
    answer = main_answer(example)
    return _binned(len(words(answer.text)), _ANSWER_WORDS, _LENGTHS) if answer else NO_ANSWER


def context_length(example: Example) -> str:
    """Words of the context, in bins."""
    return _binned(len(words(example.context)), _CONTEXT_WORDS, _CONTEXT_LENGTHS)


def answer_position(example: Example) -> str:
    """The quarter of the context's characters in which the answer begins."""
    answer = main_answer(example)
    return _binned(answer.start / len(example.context), _QUARTERS, _POSITIONS) if answer else NO_ANSWER


def word_overlap(example: Example) -> str:
    """How many of the question's content words the answer's sentence repeats, in quarters."""
    answer = main_answer(example)
    if answer is None:
        return NO_ANSWER
    start, end = sentence_at(example.context, answer.start)
    return _binned(overlap(example.question, example.context[start:end]), _QUARTERS, _SHARES)


def answerability(example: Example) -> str:
    """Whether the context answers the question."""
    return "answerable" if example.answerable else "unanswerable"


def _ranges(edges: tuple[int, ...], first: int) -> tuple[str, ...]:
    """`1`, `2`, `3-4` and so on for whole numbers; the last bin is open."""
    starts = (first, *edges)
    closed = [f"{low}–{two - 1}" if two - 1 > low else f"{low}" for low, two in zip(starts, edges, strict=False)]
    return (*closed, f"{edges[-1]} or more")


def _binned(value: float, edges: tuple[float, ...], names: tuple[str, ...]) -> str:
    """The name of the bin; an edge belongs to the bin above it."""
    return names[bisect_right(edges, value)]


_LENGTHS, _CONTEXT_LENGTHS = _ranges(_ANSWER_WORDS, 1), _ranges(_CONTEXT_WORDS, 1)
_POSITIONS = ("first quarter", "second quarter", "third quarter", "last quarter")
_SHARES = ("below 25%", "25–50%", "50–75%", "75% or more")

_THE_ANSWER = "the answer that most annotators gave"
DIMENSIONS: tuple[Dimension, ...] = (
    Dimension(
        "question word",
        ("who", "what", "when", "where", "why", "which", "how many", "how", "other"),
        question_word,
        "the first English question word; how many includes how much",
    ),
    Dimension("answer type", ANSWER_TYPES, answer_type, f"what {_THE_ANSWER} looks like"),
    Dimension("answer length", (*_LENGTHS, NO_ANSWER), answer_length, f"words of {_THE_ANSWER}"),
    Dimension("context length", _CONTEXT_LENGTHS, context_length, "words of the context"),
    Dimension(
        "answer position", (*_POSITIONS, NO_ANSWER), answer_position, f"where in the context {_THE_ANSWER} begins"
    ),
    Dimension(
        "word overlap",
        (*_SHARES, NO_ANSWER),
        word_overlap,
        f"share of the question's content words that stand in the sentence of {_THE_ANSWER}",
    ),
    Dimension("answerable", ("answerable", "unanswerable"), answerability, "whether the context answers the question"),
)
