"""Writes the official files: predictions `{"id": "answer"}` and null odds `{"id": 1.25}`."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spantune.runs.atomic_files import explained, write_text_atomic


def write_predictions(path: str | os.PathLike[str], predictions: Mapping[str, str]) -> None:
    """Writes `{"id": "answer"}` whole or not at all; its folder is made. RunError where that fails."""
    _write(path, dict(predictions))


def write_null_odds(path: str | os.PathLike[str], null_odds: Mapping[str, float]) -> None:
    """Writes `{"id": odds}` whole or not at all; its folder is made. RunError where that fails.

    JSON has no infinity, which stands for a question without any span: the largest float takes its place.

    Raises:
        ValueError: an entry is NaN.
    """
    largest = sys.float_info.max
    _write(path, {key: math.copysign(largest, odds) if math.isinf(odds) else odds for key, odds in null_odds.items()})


def _write(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    target, text = Path(path), json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(target, f"{text}\n")
