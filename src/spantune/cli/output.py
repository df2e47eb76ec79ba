"""How results are printed: aligned tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def print_json(value: Any) -> None:
    """Print JSON, escaped if the console cannot show Unicode."""
    print(json.dumps(value, ensure_ascii=not speaks_unicode(), indent=2))


def printable(text: str) -> str:
    """A text whose control characters a terminal shows and does not obey; line breaks and tabs stay."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print columns two blanks apart; those named in `right` are aligned to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = (
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(head, line, widths, strict=True)
        )
        print("  ".join(cells).rstrip())


def quoted(words: Sequence[str]) -> str:
    """A command line, quoted for this system's shell."""
    import shlex
    import subprocess

    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def speaks_unicode() -> bool:
    """Whether standard output can show any character."""
    return (sys.stdout.encoding or "ascii").lower().startswith("utf")
