"""Lists and mappings that were written into a text: JSON, Python's repr and numpy's, as `Dataset.to_csv` leaves them.

`{'text': array(['1934'], dtype=object), 'answer_start': array([68])}`, `['1934' 'in 1934']` (two texts), `[68 105]`.
Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_DEEPEST = 20
_TOKEN = re.compile(
    r"""(?P<text>[uU]?(?:'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"))"""
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<name>-?[A-Za-z_][\w.]*)"
    r"|(?P<mark>\.\.\.|[\[\](){}:,=])",
    re.DOTALL,
)
_BLANK = re.compile(r"\s*")
_CONSTANTS: Mapping[str, object] = {
    **dict.fromkeys(("None", "null", "NULL", "NA", "NaT"), None),
    **dict.fromkeys(("True", "true", "True_"), True),
    **dict.fromkeys(("False", "false", "False_"), False),
    **dict.fromkeys(("nan", "NaN"), float("nan")),
}
# Calls that only name the type of what is in their brackets.
_TYPES = re.compile(r"(?:(?:np|numpy)\.)?(?:array|list|tuple|str_?|unicode_|bool_?|u?int\d*_?|float\d*_?)")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": ""}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class ShortenedText(ValueError):
    """numpy wrote `...` for most of a long array: its values are lost."""


def looks_structured(text: str) -> bool:
    """Whether a text may be a list or a mapping that was written into a cell."""
    return text.lstrip().startswith(("[", "{", "array(", "np.", "numpy."))


def parse_cell(text: str) -> object:
    """The value that a text spells.

    Raises:
        ShortenedText: numpy left values out.
        ValueError: it spells none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _CellParser(text).whole()


class _CellParser:
    """Reads one value from a text, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.kind, self.token = "", ""
        self.next()

    def next(self) -> None:
        """Moves to the next token; its kind is empty at the end of the text."""
        self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]
        if self.at == len(self.text):
            self.kind, self.token = "", ""
        elif match := _TOKEN.match(self.text, self.at):
            self.at, self.kind, self.token = match.end(), str(match.lastgroup), match[0]
        else:
            raise ValueError(f"unknown sign at character {self.at}")

    def take(self, mark: str) -> bool:
        if self.kind == "mark" and self.token == mark:
            self.next()
            return True
        return False

    def whole(self) -> object:
        value = self.value(0)
        if self.kind:
            raise ValueError(f"more text after the value: {self.token!r}")
        return value

    def value(self, depth: int) -> object:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        kind, token = self.kind, self.token
        if kind == "mark" and token == "...":
            raise ShortenedText("numpy shortened the array: '...' replaces values that are lost")
        if kind == "mark" and token in _CLOSING:
            self.next()
            return self.mapping(depth) if token == "{" else self.items(_CLOSING[token], depth)
        self.next()
        if kind == "text":
            return _unescaped(token)
        if kind == "number":
            return int(token) if token.lstrip("+-").isdecimal() else float(token)
        if kind == "name" and self.take("("):
            return self.call(token, depth)
        if kind == "name" and token.removeprefix("np.") in _CONSTANTS:
            return _CONSTANTS[token.removeprefix("np.")]
        raise ValueError(f"not a value: {token!r}")

    def items(self, closing: str, depth: int) -> list[object]:
        """Values with commas or, as numpy writes them, with blanks alone between them."""
        values: list[object] = []
        commas: set[bool] = set()
        while not self.take(closing):
            values.append(self.value(depth + 1))
            if not (self.kind == "mark" and self.token == closing):
                commas.add(self.take(","))
        if len(commas) > 1:
            raise ValueError("some values have commas between them, others have none")
        return values

    def mapping(self, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        while not self.take("}"):
            key = self.value(depth + 1)
            if not isinstance(key, str) or not self.take(":"):
                raise ValueError("expected a name and a colon")
            values[key] = self.value(depth + 1)
            if not self.take(",") and not (self.kind == "mark" and self.token == "}"):
                raise ValueError("expected a comma")
        return values

    def call(self, name: str, depth: int) -> object:
        """`array([...], dtype=object)` and `np.str_('x')` are what is in them."""
        if not _TYPES.fullmatch(name):
            raise ValueError(f"unknown name {name!r}")
        value = self.value(depth + 1)
        while self.take(","):
            if self.kind != "name":
                break
            self.next()
            if not self.take("="):
                raise ValueError("expected dtype=…")
            if self.kind == "name":
                self.next()
            else:
                self.value(depth + 1)
        if not self.take(")"):
            raise ValueError("expected ')'")
        return value


def _unescaped(token: str) -> str:
    inner = token[token.index(token[-1]) + 1 : -1]
    return _ESCAPE.sub(_sign, inner) if "\\" in inner else inner


def _sign(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    if digits:
        return chr(int(digits, 16)) if int(digits, 16) <= 0x10FFFF else match[0]
    return _ESCAPED.get(match[4], match[4] if match[4] in "'\"\\" else match[0])
