"""What `is_impossible` says: yes and no as programs, spreadsheets and people write them."""

from __future__ import annotations

from spantune.data.readers.cell_text import looks_structured, parse_cell
from spantune.data.readers.raw_row import Unreadable, is_missing
from spantune.data.readers.text_files import described

# Words of programs and people, and the truth values that spreadsheets write in their user's language.
_YES = (
    "true t yes y 1 ja j wahr oui vrai o si sí sì s sim "
    "verdadero verdadeiro vero waar sant tak prawda да истина 是 はい"
)
_NO = "false f no n 0 nein falsch non faux não nao falso onwaar nee nej falskt nie fałsz нет ложь 否 いいえ"
_NOT_SAID = frozenset(("", "none", "null", "nan", "<na>"))
_WORDS = {**dict.fromkeys(_YES.split(), True), **dict.fromkeys(_NO.split(), False)}


def truth(value: object) -> bool | Unreadable | None:
    """A yes or no in any common spelling; None if nothing is said."""
    if value is None or isinstance(value, bool):
        return value
    if is_missing(value):
        return None
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else _unreadable(value)
    if isinstance(value, (list, tuple)):
        if any(isinstance(inner, (list, tuple)) for inner in value):
            return _unreadable(value)
        truths = {truth(inner) for inner in value} - {None}
        return _unreadable(value) if len(truths) > 1 else next(iter(truths), None)
    return _truth_of_text(value) if isinstance(value, str) else _unreadable(value)


def _truth_of_text(text: str) -> bool | Unreadable | None:
    word = text.strip().casefold()
    if word in _NOT_SAID:
        return None
    if word in _WORDS:
        return _WORDS[word]
    try:
        if looks_structured(word):
            inner = parse_cell(text.strip())
            return _unreadable(text) if isinstance(inner, str) else truth(inner)
        return truth(float(word.replace(",", ".")))
    except (ValueError, RecursionError):
        return _unreadable(text)


def _unreadable(value: object) -> Unreadable:
    return Unreadable(f"expected true or false, found {described(value)}")
