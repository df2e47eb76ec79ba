"""What is compared of an answer by MLQA's rules, which know the language (Lewis et al., 2020,
https://arxiv.org/abs/1910.07475). Standard library only.

MLQA has rules for en, es, de, ar, hi, vi and zh. As users of XQuAD and others score them, Japanese, Thai, Lao, Khmer
and Burmese are compared by character, as Chinese is, and every other language word by word without an article.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from functools import cache

_ARTICLES = {
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "ar": "ال",  # MLQA removes it wherever it is, inside a word too
}
_TOKENS_BY_THEMSELVES = {
    "zh": "[\u4e00-\u9fa5]",  # MLQA's range: rarer characters stay in a word
    "ja": (
        "[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
        "\U00020000-\U0003ffff]"
    ),
    "th": "[\u0e00-\u0e7f]",
    "lo": "[\u0e80-\u0eff]",
    "km": "[\u1780-\u17ff]",
    "my": "[\u1000-\u109f]",
}


class _Kept(dict[int, "int | None"]):
    """For `str.translate`: drops punctuation of all scripts and ASCII symbols; looks each character up once."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        dropped = character in string.punctuation or unicodedata.category(character).startswith("P")
        self[code] = None if dropped else code
        return self[code]


_KEPT = _Kept()


@cache
def mlqa_normalizer(language: str) -> Callable[[str], str]:
    """What makes of a text in this language its tokens, with a blank between two.

    It lowers the case, removes punctuation, then articles, and puts blanks around each character that is a token.
    """
    articles, characters = (
        re.compile(table[language]) if language in table else None for table in (_ARTICLES, _TOKENS_BY_THEMSELVES)
    )

    def normalize(text: str) -> str:
        text = text.lower().translate(_KEPT)
        if articles is not None:
            text = articles.sub(" ", text)
        if characters is not None:
            text = characters.sub(r" \g<0> ", text)
        return " ".join(text.split())

    return normalize
