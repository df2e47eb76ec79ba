"""Text files, decoded strictly: a byte that is not UTF-8 and a comma that is not JSON are named with their place."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spantune.errors import DataError

_PACKED = {b"\x1f\x8b": "gzip", b"PK": "zip"}
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class NotJson(DataError):
    """A text that is not JSON."""


def read_text(path: Path, *, expected: str = "questions", may_be_empty: bool = False) -> str:
    """The file's text with line ends as they are; a byte order mark of UTF-8 is tolerated.

    Args:
        expected: what the file should hold, for the messages.

    Raises:
        DataError: the file cannot be opened, is empty, or is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError("the file does not exist", where=str(path), expected=expected) from None
    except OSError as error:
        raise DataError("a file cannot be read", where=str(path), found=error.strerror or str(error)) from error
    if not raw.removeprefix(codecs.BOM_UTF8).strip() and not may_be_empty:
        raise DataError("the file is empty", where=str(path), expected=expected, found=f"{len(raw)} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        if packed := _PACKED.get(raw[:2]):
            raise DataError("the file is packed", where=str(path), found=packed, fix="unpack it first") from error
        name = _OTHER_MARKS.get(raw[:2])
        raise DataError(
            "the file is not UTF-8",
            where=f"{path}, line {line}, byte {error.start}",
            expected="UTF-8",
            found=f"the byte 0x{raw[error.start]:02x}, so probably {name or 'Latin-1 or Windows-1252'}",
            fix=f"convert it: iconv -f {name or 'WINDOWS-1252'} -t UTF-8 {path.name} > utf8{path.suffix}",
        ) from error


def parse_json(
    text: str, where: str, first_line: int = 1, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value of a JSON text.

    Args:
        pairs: makes an object of its keys and values; None makes a dict, in which the last of equal keys counts.

    Raises:
        NotJson: it is not JSON; line and column are named.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        raise NotJson(
            "the JSON ends too early" if ended else "the file is not valid JSON",
            where=f"{where}, line {error.lineno + first_line - 1}, column {error.colno}",
            expected="JSON" if not ended else "the rest of the JSON",
            found=error.msg,
            fix="the file was cut off: fetch or write it again" if ended else None,
        ) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise NotJson("the file is not valid JSON", where=where, found=str(error)) from error
    except RecursionError as error:
        raise NotJson("the file is not valid JSON", where=where, found="JSON nested too deeply") from error


def described(value: Any) -> str:
    """A value of a JSON text by its kind and how it begins."""
    names = {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    shown = repr(value)
    return f"{names.get(type(value), 'a number')}: {shown[:60]}{'…' if len(shown) > 60 else ''}"
