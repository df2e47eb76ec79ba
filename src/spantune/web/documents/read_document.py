"""Documents: the text of what was pasted or uploaded, and the page or line of a character."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from spantune.data.checks.texts import require_text, without_control_characters
from spantune.errors import DataError
from spantune.web.documents import pdf_worker
from spantune.web.limits import line_feeds
from spantune.web.problem_details import busy

_TEXTS = (".txt", ".md", ".markdown", ".text", "")
_MOST_PAGES = 500
_SECONDS = 20
"""To read a PDF."""
_MEMORY = 1_000_000_000
"""Bytes of address space to read a PDF."""
_AT_ONCE = 4
"""PDFs that are read at the same time."""
_BUSY_SECONDS = 5
_REMEDY = "print it into a new PDF, or paste its text"
_AROUND = 240
"""Characters that are shown before and after an answer."""
_readers = threading.BoundedSemaphore(_AT_ONCE)


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
        Problem: 503 if too many PDFs are being read.
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
    if not _readers.acquire(blocking=False):
        raise busy("Other PDFs are being read.", _BUSY_SECONDS)
    try:
        answer = _in_process(content, longest)
    finally:
        _readers.release()
    match answer.get("fault"):
        case None:
            pass
        case "password":
            raise DataError("the PDF needs a password", where=name, fix="save it without one, or paste its text")
        case "pages":
            limit, count = f"at most {_MOST_PAGES}", str(answer["found"])
            raise DataError("the PDF has too many pages", where=name, expected=limit, found=count)
        case "long":
            _refuse_long(answer["found"], longest, name)
        case "time":
            raise DataError("the PDF takes too long to read", where=name, expected=f"at most {_SECONDS} s", fix=_REMEDY)
        case "memory":
            expected = f"at most {_MEMORY / 1e9:g} GB"
            raise DataError("the PDF takes too much memory to read", where=name, expected=expected, fix=_REMEDY)
        case _:
            raise DataError("the PDF cannot be read", where=name, fix=_REMEDY)
    parts = list(map(_page_text, answer["pages"]))
    text = "".join(parts)
    if not text.strip():
        expected, remedy = "a PDF with text in it", "read a scan by OCR first"
        raise DataError("the PDF has no text", where=name, expected=expected, fix=remedy)
    _refuse_long(len(text), longest, name)
    return Document(text, name, tuple(accumulate(map(len, parts[:-1]), initial=0)))


def _in_process(content: bytes, longest: int) -> dict[str, Any]:
    """What `pdf_worker` answers, or the fault by which it ended."""
    arguments = [_SECONDS, _MEMORY, longest, _MOST_PAGES]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-B", pdf_worker.__file__, *map(str, arguments)],
            input=content,
            capture_output=True,
            timeout=_SECONDS,
            start_new_session=True,  # Ctrl-C is for the server, which finishes what runs
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"fault": "time"}
    if done.returncode == 0:
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    if -done.returncode == getattr(signal, "SIGXCPU", None):
        return {"fault": "time"}
    # Without memory, Python may end before it can say so.
    return {"fault": "memory" if b"MemoryError" in done.stderr or done.returncode < 0 else "broken"}


def _page_text(text: str) -> str:
    """Without what broken fonts give, lone surrogates and control characters, which no tokenizer takes."""
    return without_control_characters(line_feeds(text.encode("utf-8", "replace").decode("utf-8"))) + "\n"
