"""What no text may hold, wherever it comes from: a file, the command line, Python or the web."""

from __future__ import annotations

import re
from typing import NamedTuple

from spantune.errors import DataError

_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""Control characters that are no white space."""


class TextFault(NamedTuple):
    """What is wrong with a text, by kind of defect (`defects.KINDS`)."""

    kind: str
    detail: str


def text_fault(text: str) -> TextFault | None:
    """The first thing that makes a text useless to an encoder; None where it is sound."""
    if not text.strip():
        return TextFault("empty", repr(text[:20]))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return TextFault("broken-unicode", f"{text[error.start]!a} at character {error.start}")
    if control := _CONTROL.search(text):
        return TextFault("control-character", f"{control[0]!a} at character {control.start()}")
    return None


def without_control_characters(text: str) -> str:
    """Each control character replaced by a blank, so that no offset changes."""
    return _CONTROL.sub(" ", text)


def require_text(text: object, name: str) -> str:
    """The text itself; DataError that names it where it is no text that an encoder can read."""
    if not isinstance(text, str):
        raise DataError(f"the {name} is not a text", where=name, expected="a text", found=type(text).__name__)
    fault = text_fault(text)
    if fault is None:
        return text
    if fault.kind == "empty":
        raise DataError(f"the {name} is empty", where=name, expected="some text")
    raise DataError(
        f"the {name} holds half a character"
        if fault.kind == "broken-unicode"
        else f"the {name} holds a control character",
        where=name,
        expected="Unicode text (UTF-8)",
        found=fault.detail,
        fix="convert the text to UTF-8 before it is given here"
        if fault.kind == "broken-unicode"
        else "take the character out",
    )
