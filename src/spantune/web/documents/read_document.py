"""Documents: the text of what was pasted or uploaded, and the page or line of a character."""

from __future__ import annotations

import hashlib
import io
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from spantune.errors import DataError
from spantune.web.limits import line_feeds

_TEXTS = (".txt", ".md", ".markdown", ".text", "")
_PDF = ".pdf"
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

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(at + 1 for at, one in enumerate(self.text) if one == "\n")]

    def place(self, character: int) -> str:
        """`page 3` where there are pages, else `line 12`; both count from 1."""
        if self.pages:
            return f"page {max(1, bisect_right(self.pages, character))}"
        return f"line {bisect_right(self._lines, character)}"

    def around(self, start: int, end: int) -> tuple[int, int]:
        """Characters of a stretch around an answer, cut at white space."""
        first, last = max(0, start - _AROUND), min(len(self.text), end + _AROUND)
        if first > 0:
            gap = next((at for at in range(first, start) if self.text[at].isspace()), first)
            first = min(gap + 1, start) if gap != first or self.text[first].isspace() else first
        if last < len(self.text):
            last = next((at for at in range(last, end, -1) if self.text[at - 1].isspace()), last)
        return first, last


def read_document(name: str, content: bytes, longest: int) -> Document:
    """The text of an uploaded file: UTF-8 text, Markdown or PDF, by the ending of its name.

    Args:
        longest: characters of text; what has more is refused.

    Raises:
        DataError: another kind of file, not UTF-8, a PDF that cannot be read or has no text, or too long.
    """
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    if ending == _PDF or content.startswith(b"%PDF-"):
        return _of_pdf(name, content, longest)
    if ending not in _TEXTS:
        raise DataError(
            "this kind of file is not read", where=name, expected="a text (.txt, .md) or a PDF", found=ending
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{name}, byte {error.start}"
        raise DataError("the file is not UTF-8 text", where=where, fix="save it as UTF-8, or paste its text") from error
    return pasted(text, longest, name)


def pasted(text: str, longest: int, name: str = "") -> Document:
    """A text as it is; DataError where it is empty or too long."""
    text = line_feeds(text)
    if not text.strip():
        raise DataError("the document is empty", where=name or None, expected="some text")
    _refuse_long(len(text), longest, name)
    return Document(text, name)


def _refuse_long(length: int, longest: int, name: str) -> None:
    if length > longest:
        raise DataError(
            "the document is too long",
            where=name or None,
            expected=f"at most {longest:,} characters of text",
            found=f"{length:,} or more",
            fix="take the part of it that matters",
        )


def _of_pdf(name: str, content: bytes, longest: int) -> Document:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    parts: list[str] = []
    pages: list[int] = []
    length, end = 0, time.monotonic() + _PDF_SECONDS
    # One at a time: a PDF may be a small file with much in it.
    if not _reading.acquire(timeout=_PDF_SECONDS):
        raise DataError("another document is being read", where=name, fix="try again in a moment")
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError("the PDF needs a password", where=name, fix="save it without one, or paste its text")
        if len(reader.pages) > _MOST_PAGES:
            raise DataError(
                "the PDF has too many pages",
                where=name,
                expected=f"at most {_MOST_PAGES}",
                found=str(len(reader.pages)),
            )
        for text in _page_texts(reader, end, name):
            pages.append(length)
            parts.append(text)
            length += len(text)
            _refuse_long(length, longest, name)
    except DataError:
        raise
    except Exception as error:  # a broken file fails in any of a parser's ways
        raise DataError(
            "the PDF cannot be read", where=name, fix="print it into a new PDF, or paste its text"
        ) from error
    finally:
        _reading.release()
    text = "".join(parts)
    if not text.strip():
        raise DataError(
            "the PDF has no text", where=name, expected="a PDF with text in it", fix="read a scan by OCR first"
        )
    return Document(text, name, tuple(pages))


def _page_texts(reader: object, end: float, name: str) -> Iterator[str]:
    def in_time(*_: object) -> None:
        if time.monotonic() > end:
            raise DataError("the PDF takes too long to read", where=name, expected=f"at most {_PDF_SECONDS:.0f} s")

    for page in reader.pages:  # type: ignore[attr-defined]
        text = page.extract_text(visitor_operand_before=in_time) or ""
        in_time()  # within a form of the page the visitor's error is swallowed
        # Lone surrogates come out of broken fonts, and no tokenizer takes them.
        yield line_feeds(text.encode("utf-8", "replace").decode("utf-8")) + "\n"
