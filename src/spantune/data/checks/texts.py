"""What no text may hold, wherever it comes from: a file, the command line, Python or the web."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from spantune.data.example import Example
from spantune.errors import DataError

_CONTROLS = r"\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f"  # all that are no white space of a text
_CONTROL = re.compile(f"[{_CONTROLS}]")
READABLE = rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"
"""A pattern of texts without control characters and of more than white space, as JSON schemas understand it."""


class TextFault(NamedTuple):
    """What is wrong with a text, by kind of defect (`defects.KINDS`)."""

    kind: str
    detail: str

    @property
    def words(self) -> str:
        """What follows the name of a text: `is empty`, …."""
        return {"empty": "is empty", "broken-unicode": "holds half a surrogate pair"}.get(
            self.kind, "holds a control character"
        )


def text_fault(text: str) -> TextFault | None:
    """The first thing that makes a text useless to an encoder; None if it is sound."""
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


def require_readable(examples: Iterable[Example]) -> None:
    """DataError that names the first example with a question or context that no encoder can read."""
    for example in examples:
        require_text(example.question, "question", f"id {example.id!r}")
        require_text(example.context, "context", f"id {example.id!r}")


def require_text(text: object, name: str, where: str | None = None) -> str:
    """The text itself; DataError that names it, and where it is from, where it is no text that an encoder can read."""
    if not isinstance(text, str):
        raise DataError(f"the {name} is not a text", where=where, expected="a text", found=type(text).__name__)
    fault = text_fault(text)
    if fault is None:
        return text
    fixes = {"broken-unicode": "convert it to UTF-8 before it is given here", "control-character": "take it out"}
    raise DataError(
        f"the {name} {fault.words}",
        where=where,
        expected="some text" if fault.kind == "empty" else "text in UTF-8 without control characters",
        found=None if fault.kind == "empty" else fault.detail,
        fix=fixes.get(fault.kind),
    )
