"""Reads a PDF from standard input and writes the text of its pages, as JSON; run as a program of its own.

A small PDF may take hours or unpack to gigabytes, and no Python thread can be stopped. So this one limits itself, and
whoever started it ends it after a while. It imports nothing of spantune, so that it starts quickly.

    python pdf_worker.py SECONDS BYTES CHARACTERS PAGES < FILE

The answer has `pages`, or the name of a `fault`: `password`, `pages`, `long`, `memory`, `broken`; `found` is a number.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any


def limit(seconds: int, memory: int) -> None:
    """Let the system end this process when it has computed for so long, and refuse it more memory and any file."""
    if sys.platform == "win32":
        return
    import resource

    limits = {"RLIMIT_CPU": seconds, "RLIMIT_AS": memory, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, most in limits.items():
        with suppress(ValueError, OSError):  # macOS has no limit of memory
            resource.setrlimit(getattr(resource, name), (most, most))
    os.nice(5)  # questions come first


def read(content: bytes, characters: int, pages: int) -> dict[str, Any]:
    """What is written: see above."""
    try:
        return _read(content, characters, pages)
    except MemoryError:
        return {"fault": "memory"}
    except Exception:  # a parser fails in many ways on a broken file
        return {"fault": "broken"}


def _read(content: bytes, characters: int, pages: int) -> dict[str, Any]:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(io.BytesIO(content), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        return {"fault": "password"}
    count = len(reader.pages)
    if count > pages:
        return {"fault": "pages", "found": count}
    texts: list[str] = []
    length = 0
    for page in reader.pages:
        texts.append(page.extract_text() or "")
        length += len(texts[-1])
        if length > characters:
            return {"fault": "long", "found": length}
    return {"pages": texts}


def main() -> None:
    """Read one PDF."""
    seconds, memory, characters, pages = map(int, sys.argv[1:])
    limit(seconds, memory)
    json.dump(read(sys.stdin.buffer.read(), characters, pages), sys.stdout)


if __name__ == "__main__":
    main()
