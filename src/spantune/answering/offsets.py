"""The characters of tokens: corrections to the offsets that a tokenizer reports."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

_LAST_SPACE = 0x3000  # The last code point that is white space.


def holes(tokens: np.ndarray, spaces: np.ndarray) -> list[tuple[int, int, int]]:
    """Stretches of a context that lie in no token and hold more than white space: (next token, first, last + 1).

    Args:
        tokens, spaces: as `close_holes` takes them.
    """
    before = np.maximum.accumulate(np.concatenate(([0], tokens[:, 1])))
    after = np.concatenate((tokens[:, 0], [len(spaces) - 1]))
    written = np.concatenate(([0], np.cumsum(~spaces[:-1])))  # characters that are no white space, up to each place
    open_places = np.flatnonzero((after > before) & (written[after] > written[np.minimum(before, after)]))
    return [(at, int(before[at]), int(after[at])) for at in open_places.tolist()]


def close_holes(context: str, tokens: np.ndarray, spaces: np.ndarray) -> np.ndarray:
    """(N, 2) the offsets of all N tokens of a context, widened over letters and marks that lie in no token.

    A normaliser that strips accents reports `e` + U+0301 as `e` alone, so that an answer would lose its last accent or
    vowel sign: marks belong to the token before them. A tokenizer that adds a blank before each word may say that it
    starts one character late: other letters belong to the token after them where they touch it, else to the one before.
    A token without any character takes what touches it.

    Args:
        tokens: (N, 2) characters [first, last + 1) in the order of the context, as the tokenizer reports them.
        spaces: what `white_space` says of the context.
    """
    closed = tokens.copy()
    for at, start, end in holes(tokens, spaces):
        marks = start
        while at and marks < end and unicodedata.category(context[marks])[0] == "M":
            marks += 1
        _widen_before(closed, at, marks)
        _take_letters(context, closed, at, marks, end)
    return closed


def _take_letters(context: str, tokens: np.ndarray, at: int, start: int, end: int) -> None:
    """Widen the token that touches the letters of a hole, in place; `tokens[at]` is the one after the hole."""
    hole = context[start:end]
    if at < len(tokens) and not hole[-1:].isspace():
        first = end - len((hole.split() or [""])[-1])
        kinds = "LNPS" if tokens[at, 0] == tokens[at, 1] else "LN"
        tokens[at, 0] = next((place for place in range(first, end) if _is_of(context[place], kinds)), end)
    elif not hole[:1].isspace():
        last = start + len((hole.split() or [""])[0])
        letters = (place for place in range(last, start, -1) if _is_of(context[place - 1], "LN"))
        _widen_before(tokens, at, next(letters, 0))


def _widen_before(tokens: np.ndarray, at: int, end: int) -> None:
    """Let the tokens that reach a hole, several if they are the bytes of one character, reach up to `end`."""
    reach = tokens[at - 1, 1] if at else end
    while at and end > reach and tokens[at - 1, 1] == reach:
        at -= 1
        tokens[at, 1] = end


def _is_of(character: str, kinds: str) -> bool:
    return unicodedata.category(character)[0] in kinds


def without_white_space(context: str, tokens: np.ndarray, spaces: np.ndarray) -> np.ndarray:
    """The offsets (L, 2) without white space around the tokens; a token of nothing else has an empty span.

    Byte-level and SentencePiece tokenizers put a leading space into a token, which is not part of an answer.

    Args:
        spaces: what `white_space` says of the context.
    """
    pairs = tokens.copy()
    for token in np.flatnonzero(spaces[pairs[:, 0]] | spaces[pairs[:, 1] - 1]):
        start, end = pairs[token].tolist()
        bare = context[start:end].lstrip()
        start = end - len(bare)
        pairs[token] = start, start + len(bare.rstrip())
    return pairs


def white_space(context: str) -> np.ndarray:
    """(C + 1,) bool, True where one of the C characters is white space; the last entry is False."""
    codes = np.frombuffer(f"{context}.".encode("utf-32-le"), dtype="<u4")
    return _is_space()[np.minimum(codes, _LAST_SPACE + 1)]


@cache
def _is_space() -> np.ndarray:
    return np.array([chr(code).isspace() for code in range(_LAST_SPACE + 2)])
