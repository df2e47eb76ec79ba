"""Whether the script of the answers fits the rule by which they are scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import regex

from spantune.config.languages import LANGUAGES_OF_SCRIPT
from spantune.data.example import Example

_WITHOUT_BLANKS = frozenset(("Han", "Japanese", "Thai", "Lao", "Khmer", "Myanmar"))
_KANA = ("Hiragana", "Katakana")
_LETTER = regex.compile(
    "|".join(rf"(?P<{script}>\p{{{script}}})" for script in (*LANGUAGES_OF_SCRIPT, *_KANA) if script != "Japanese")
)
_MOST_ANSWERS, _MOST_CHARACTERS = 2_000, 200


def script_note(examples: Sequence[Example], language: str | None) -> str | None:
    """A warning if the answers are written in a script that the scoring rule is not made for; None if it fits.

    Args:
        examples: a sample of them is looked at.
        language: of MLQA's rules; None for the official rule.
    """
    script = dominant_script(examples)
    if script is None or (script == "Latin" and language is None):
        return None
    languages = LANGUAGES_OF_SCRIPT[script]
    if language is not None:
        if language in languages:
            return None
        other = "the language that they are in" if script == "Latin" else _listed(languages)
        return f"the answers are written in {script}, which {language} is not: --language is to be {other}"
    use = f"--scoring mlqa --language {_listed(languages)}"
    if script in _WITHOUT_BLANKS:
        return (
            f"the answers are written in {script}, without blanks between words: by the official rule an answer is one "
            f"word, and its F1 is 0 or 100; {use} compares characters"
        )
    return (
        f"the answers are written in {script}, and the official rule knows the articles of English and the punctuation "
        f"of ASCII alone; {use} removes those of the language"
    )


def dominant_script(examples: Sequence[Example]) -> str | None:
    """The script of most letters in the answers, as `LANGUAGES_OF_SCRIPT` calls it; None if they have no letter."""
    answered = [example.answers[0].text for example in examples if example.answers]
    sample = answered[:: -(-len(answered) // _MOST_ANSWERS) or 1]
    letters: Counter[str] = Counter()
    for character, number in Counter("".join(text[:_MOST_CHARACTERS] for text in sample)).items():
        if match := _LETTER.match(character):
            letters[match.lastgroup or ""] += number
    if kana := sum(letters.pop(script, 0) for script in _KANA):
        # A few kana in Chinese are quotations, and Japanese without any is rare.
        is_japanese = kana * 10 > letters["Han"]
        letters["Japanese"] = kana + (letters.pop("Han", 0) if is_japanese else 0)
    return letters.most_common(1)[0][0] if letters else None


def _listed(languages: Sequence[str]) -> str:
    """`ru`, or `ru (or bg, uk)`."""
    first, *others = languages
    return first + (f" (or {', '.join(others)})" if others else "")
