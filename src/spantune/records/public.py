"""What of a record may leave the machine that it was made on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FOLDERS = re.compile(r"(?<![\w.:/])(?:/[\w.@+-]+)+/")


def without_paths(value: Any) -> Any:
    """JSON content whose texts keep the last part of every absolute path; addresses (`https://`) stay whole."""
    if isinstance(value, Mapping):
        return {key: without_paths(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(one) for one in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value
