"""Documents: the text of what was pasted or uploaded, and the page or line of a character."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.data.checks.texts import require_text, without_control_characters
from spantune.errors import DataError
from spantune.web.limits import line_feeds

if TYPE_CHECKING:
    from pypdf import PdfReader

_TEXTS = (".txt", ".md", ".markdown", ".text", "")
_MOST_PAGES = 500
_PDF_SECONDS = 20.0
_AROUND = 240
"""Characters that are shown before and after an answer."""
_reading = threading.Lock()


@dataclass(frozen=True)
class Document:
    """A text with its pages.

    Attributes:
        name: of the file, "" for a pasted text. pages: where each page begins in the text; () without pages.
    """

    text: str
    name: str = ""
    pages: tuple[int, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of the text as it comes back out of a form, in which no browser keeps a NUL."""
        return hashlib.sha256(self.text.replace("\0", "\ufffd").encode("utf-8", "replace")).hexdigest()

    def place(self, character: int) -> str:
        """`page 3` where there are pages, else `line 12`; both count from 1."""
        if self.pages:
            return f"page {max(1, bisect_right(self.pages, character))}"
        return "line " + str(1 + self.text.count("\n", 0, character))

    def around(self, start: int, end: int) -> tuple[int, int]:
        """Characters of a stretch around an answer, cut at white space."""
        first, last = max(0, start - _AROUND), min(len(self.text), end + _AROUND)
        if first > 0 and (gap := re.search(r"\s", self.text[first:start])):
            first += gap.end()
        if last < len(self.text) and (gap := re.search(r"\s(?=\S*\Z)", self.text[end:last])):
            last = end + gap.end()
        return first, last


def read_document(name: str, content: bytes, longest: int) -> Document:
    """The text of an uploaded file: UTF-8 text, Markdown or PDF, by the ending of its name.

    Args:
        longest: characters of text; what has more is refused.

    Raises:
        DataError: another kind of file, not UTF-8, a PDF that cannot be read or has no text, or too long.
    """
    ending = Path(name).suffix.lower()
    if ending == ".pdf" or content.startswith(b"%PDF-"):
        return _of_pdf(name, content, longest)
    if ending not in _TEXTS:
        expected = "a text (.txt, .md) or a PDF"
        raise DataError("this kind of file is not read", where=name, expected=expected, found=ending)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{name}, byte {error.start}"
        raise DataError("the file is not UTF-8 text", where=where, fix="save it as UTF-8, or paste its text") from error
    return pasted(text, longest, name)


def pasted(text: str, longest: int, name: str = "") -> Document:
    """A text as it is; DataError if it is empty or too long."""
    text = line_feeds(text)
    require_text(text, "document", name or None)
    _refuse_long(len(text), longest, name)
    return Document(text, name)


def _refuse_long(length: int, longest: int, name: str) -> None:
    if length > longest:
        expected, found = f"at most {longest:,} characters of text", f"{length:,} or more"
        remedy = "take the part of it that matters"
        raise DataError("the document is too long", where=name or None, expected=expected, found=found, fix=remedy)


def _of_pdf(name: str, content: bytes, longest: int) -> Document:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    parts: list[str] = []
    pages: list[int] = []
    length, end = 0, time.monotonic() + _PDF_SECONDS
    # One at a time: a small PDF may unpack to a lot.
    if not _reading.acquire(timeout=_PDF_SECONDS):
        raise DataError("another document is being read", where=name, fix="try again in a moment")
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError("the PDF needs a password", where=name, fix="save it without one, or paste its text")
        count = len(reader.pages)
        if count > _MOST_PAGES:
            limit = f"at most {_MOST_PAGES}"
            raise DataError("the PDF has too many pages", where=name, expected=limit, found=str(count))
        for text in _page_texts(reader, end, name):
            pages.append(length)
            parts.append(text)
            length += len(text)
            _refuse_long(length, longest, name)
    except DataError:
        raise
    except Exception as error:  # a parser fails in many ways on a broken file
        remedy = "print it into a new PDF, or paste its text"
        raise DataError("the PDF cannot be read", where=name, fix=remedy) from error
    finally:
        _reading.release()
    text = "".join(parts)
    if not text.strip():
        expected, remedy = "a PDF with text in it", "read a scan by OCR first"
        raise DataError("the PDF has no text", where=name, expected=expected, fix=remedy)
    return Document(text, name, tuple(pages))


def _page_texts(reader: PdfReader, end: float, name: str) -> Iterator[str]:
    def in_time(*_: object) -> None:
        if time.monotonic() > end:
            raise DataError("the PDF takes too long to read", where=name, expected=f"at most {_PDF_SECONDS:.0f} s")

    for page in reader.pages:
        text = page.extract_text(visitor_operand_before=in_time) or ""
        in_time()  # pypdf swallows the visitor's error inside a form of the page
        # Broken fonts give lone surrogates and control characters, which no tokenizer takes.
        yield without_control_characters(line_feeds(text.encode("utf-8", "replace").decode("utf-8"))) + "\n"
