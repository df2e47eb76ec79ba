"""Removes from a record what must not leave the machine: passwords and local paths."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

_FOLDERS = re.compile(r"(?<![\w.:/])(?:/[\w.@+-]+)+/")
_USER = re.compile(r"(?<=://)[^/\s]*@")  # greedy: a password may hold an @ itself


def without_password(text: str) -> str:
    """The addresses in a text, to show and to store: `https://user:secret@host` keeps neither user nor secret."""
    return _USER.sub("", text)


def command_line() -> tuple[str, ...]:
    """The words that started this program, without passwords."""
    return tuple(map(without_password, sys.argv))


def without_paths(value: Any) -> Any:
    """JSON content whose texts keep the last part of every absolute path; addresses (`https://`) stay whole."""
    if isinstance(value, Mapping):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value
