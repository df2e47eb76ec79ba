"""The tokens of accepted answers: where they are in each window, and whether they spell the answer."""

from __future__ import annotations

import string
import unicodedata
from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np

from spantune.data import Example

ANSWER, NO_ANSWER, CUT = 0, 1, 2
"""Kinds of windows: it holds a whole answer, none of any answer, or only parts."""
SAYABLE, ELSEWHERE, UNKNOWN = 0, 1, 2
"""Whether the tokens of an answer spell it: they do; its first or last token begins or ends elsewhere; the same, and
the token is a text that is not in the vocabulary."""


class AnswerTokens(NamedTuple):
    """The tightest tokens around an answer.

    Attributes:
        answer: its position among the example's answers.
        begin, finish: its characters [begin, finish), without white space around them.
        start, end: its first and last token, counted from the context's first; `start > end` where it has none.
        sayable: whether the text of these tokens is the answer.
    """

    answer: int
    begin: int
    finish: int
    start: int
    end: int
    sayable: bool


def answer_tokens(example: Example, tokens: np.ndarray, bare: np.ndarray) -> list[AnswerTokens]:
    """The tokens of each accepted answer of more than white space.

    Args:
        tokens: (N, 2) characters of the context's tokens. bare: (N, 2) the same without white space around them.
    """
    firsts, lasts = tokens[:, 0].tolist(), tokens[:, 1].tolist()
    located = []
    for position, answer in enumerate(example.answers):
        begin = answer.start + len(answer.text) - len(answer.text.lstrip())
        finish = answer.start + len(answer.text.rstrip())
        if begin >= finish:
            continue
        start = bisect_right(lasts, begin)  # First token that ends after the answer's first character.
        end = bisect_left(firsts, finish) - 1  # Last token that starts before the answer's end.
        sayable = start <= end and says(example.context, int(bare[start, 0]), int(bare[end, 1]), begin, finish)
        located.append(AnswerTokens(position, begin, finish, start, end, sayable))
    return located


def says(context: str, start: int, end: int, begin: int, finish: int) -> bool:
    """Whether `context[start:end]` is the answer `context[begin:finish]`, except for outer punctuation and white space.

    EM and F1 ignore the punctuation.
    """
    if start == begin and end == finish:
        return True
    edges = context[min(start, begin) : max(start, begin)] + context[min(end, finish) : max(end, finish)]
    return start < end and all(map(_is_ignored, edges))


def _is_ignored(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character)[0] in "PZC"


def labels_of(
    answers: list[AnswerTokens], tokens: np.ndarray, length: int, here: slice
) -> tuple[list[AnswerTokens], int]:
    """The answers that lie wholly in a window, and the window's kind.

    Args:
        answers: of the example. tokens: (N, 2) characters of the context's tokens. length: of the context.
        here: the window's tokens.
    """
    if not answers:
        return [], NO_ANSWER
    left = int(tokens[here.start - 1, 1]) if here.start else 0
    right = int(tokens[here.stop, 0]) if here.stop < len(tokens) else length
    # A character of several tokens may lie on both sides of an edge.
    inside = tokens[here]
    reach = (min([left, *inside[:1, 0]]), max([right, *inside[-1:, 1]]))
    touched = [answer for answer in answers if answer.finish > reach[0] and answer.begin < reach[1]]
    whole = [each for each in touched if left <= each.begin and each.finish <= right and each.start <= each.end]
    return whole, ANSWER if whole else CUT if touched else NO_ANSWER
