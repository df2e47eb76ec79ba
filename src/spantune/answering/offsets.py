"""The characters of tokens: corrections to the offsets that a tokenizer reports."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np

_LAST_SPACE = 0x3000  # The last code point that is white space.


def include_combining_marks(context: str, windows: Sequence[list[tuple[int, int]]]) -> None:
    """Extend tokens over the combining marks that a normaliser stripped off them, in place.

    An uncased BERT reads `e` + U+0301 as `e` and reports the offsets of that alone, so that an answer would lose its
    last accent or vowel sign.
    """
    if context.isascii():
        return
    read = {start for offsets in windows for start, _ in offsets}
    for offsets in windows:
        for place, (start, end) in enumerate(offsets):
            stop = end
            while stop < len(context) and stop not in read and unicodedata.category(context[stop]) == "Mn":
                stop += 1
            if stop > end > start:
                offsets[place] = (start, stop)


def without_white_space(context: str, offsets: Sequence[tuple[int, int]], spaces: np.ndarray) -> np.ndarray:
    """(L, 2) the offsets of L tokens without white space around them; a token of nothing else has an empty span.

    Byte-level and SentencePiece tokenizers put a leading space into a token, which is not part of an answer.

    Args:
        spaces: what `white_space` says of the context.
    """
    pairs = np.fromiter(chain.from_iterable(offsets), np.int32, 2 * len(offsets)).reshape(-1, 2)
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
