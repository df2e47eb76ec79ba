"""Text files, decoded strictly: a byte that is not UTF-8 and a comma that is not JSON are named with their place."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import reprlib
import shlex
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spantune.errors import DataError

_GZIP = b"\x1f\x8b"
_PACKED = {
    b"PK\x03\x04": "zip",
    b"BZh91AY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc\xaf": "7-zip",
}
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
# Texts shrink to a fifth, contexts repeated in every row to a fiftieth; a file made to do harm to a thousandth.
_LARGEST = 4 * 2**30
_LARGEST_UNCHECKED = 64 * 2**20
_SHRINKS = 300
_PYTHONS = "this is Python's text of a value: write it with json.dump"
_READ_AT_ONCE = 2**20
_PACKED_AT_MOST = 3
_BETWEEN = re.compile("[\\s\ufeff\x1e,]*")
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 4, 200, 200


class NotJson(DataError):
    """A text that is not JSON."""


def read_text(path: Path, *, expected: str = "questions", may_be_empty: bool = False) -> str:
    """The file's text, unpacked if it is gzip, with line ends as they are; a byte order mark of UTF-8 is tolerated.

    Args:
        expected: what the file should hold, for the messages.

    Raises:
        DataError: the file cannot be opened or unpacked, is empty, or is not UTF-8.
    """
    raw = read_bytes(path, expected=expected)
    if not raw.removeprefix(codecs.BOM_UTF8).strip() and not may_be_empty:
        raise DataError("the file is empty", where=str(path), expected=expected, found=f"{len(raw)} bytes")
    try:
        return raw.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        name = _OTHER_MARKS.get(raw[:2])
        ending = "".join(path.suffixes[-2:]).removesuffix(".gz") or path.suffix
        converted = f"iconv -f {name or 'WINDOWS-1252'} -t UTF-8"
        quoted = shlex.quote(path.name)
        command = f"gzip -dc {quoted} | {converted}" if path.suffix == ".gz" else f"{converted} {quoted}"
        raise DataError(
            "the file is not UTF-8",
            where=f"{path}, line {line}, byte {error.start}",
            expected="UTF-8",
            found=f"the byte 0x{raw[error.start]:02x}, so probably {name or 'Latin-1 or Windows-1252'}",
            fix=f"convert it: {command} > utf8{ending}",
        ) from error


def read_bytes(path: Path, *, expected: str = "questions") -> bytes:
    """The file's bytes, unpacked if they are gzip, whatever the file's name.

    Raises:
        DataError: the file cannot be opened, or is packed otherwise, damaged or unreasonably large once unpacked.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError("the file does not exist", where=str(path), expected=expected) from None
    except OSError as error:
        raise DataError("a file cannot be read", where=str(path), found=error.strerror or str(error)) from error
    for _ in range(_PACKED_AT_MOST):  # a server may pack what is packed already
        raw = _unpacked(raw, path) if raw.startswith(_GZIP) else raw
    if kind := next((kind for mark, kind in _PACKED.items() if raw.startswith(mark)), None):
        named = shlex.quote(path.name)
        unzip = f"python -m zipfile -e {named} FOLDER (an Excel file: save it as CSV instead)"
        fix = f"unpack it first: {unzip}" if kind == "zip" else "unpack it first"
        raise DataError("the file is packed", where=str(path), expected="a plain file, or gzip", found=kind, fix=fix)
    return raw


def _unpacked(raw: bytes, path: Path) -> bytes:
    pieces, size = [], 0
    limit = min(_LARGEST, max(_LARGEST_UNCHECKED, _SHRINKS * len(raw)))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            while piece := file.read(_READ_AT_ONCE):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise DataError(
                        "the gzip file is unreasonably large once unpacked",
                        where=str(path),
                        expected=f"at most {limit / 2**20:,.0f} MiB from {len(raw):,} bytes",
                        fix="if it is what it should be, unpack it first: gzip -d",
                    )
    except (EOFError, OSError, zlib.error) as error:
        found = "the file ends too early" if isinstance(error, EOFError) else str(error)
        fix = "fetch or write it again"
        raise DataError("the gzip file is damaged", where=str(path), found=found, fix=fix) from error
    return b"".join(pieces)


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
    except (ValueError, RecursionError) as error:
        raise not_json(error, text, where, first_line) from error


def json_values(text: str, where: str) -> Iterator[tuple[int, Any]]:
    """The values of a text of one JSON value after another, each with the line that it starts on.

    Between them may be line ends, as in pretty-printed JSON lines, commas, or the marks of a JSON text sequence.

    Raises:
        NotJson: a value is not JSON.
    """
    decoder, at, line, counted = json.JSONDecoder(), 0, 1, 0
    while (at := _BETWEEN.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise not_json(error, text, where) from error
        yield line, value


def not_json(error: ValueError | RecursionError, text: str, where: str, first_line: int = 1) -> NotJson:
    """The message for an error of `json` on a text that starts on the given line of its file."""
    if isinstance(error, json.JSONDecodeError):
        fix = "the file was cut off: fetch or write it again"
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        return NotJson(
            "the JSON ends too early" if ended else "the file is not valid JSON",
            where=f"{where}, line {error.lineno + first_line - 1}, column {error.colno}",
            expected="JSON" if not ended else "the rest of the JSON",
            found=error.msg,
            fix=fix if ended else _PYTHONS if text[error.pos : error.pos + 1] == "'" else None,
        )
    # Otherwise a number has more digits than Python reads.
    found = "JSON nested too deeply" if isinstance(error, RecursionError) else str(error)
    return NotJson("the file is not valid JSON", where=where, found=found)


def described(value: Any) -> str:
    """A value of a JSON text by its kind and how it begins."""
    names = {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    shown = _SHORT.repr(value)
    return f"{names.get(type(value), 'a number')}: {shown[:60]}{'…' if len(shown) > 60 else ''}"
