"""Metrics over steps: one JSON object per line, appended, so that a killed process loses at most its last line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from spantune.errors import RunError
from spantune.runs.atomic_files import explained, file_at, finite, write_text_atomic


class History:
    """`history.jsonl` of a run.

    A line holds `step` (optimiser steps done), `epoch`, and metrics of that moment: `loss`, `learning_rate`,
    `grad_norm`, `selection_loss`, `selection_em`, `selection_f1` (0 to 100), and `ranks`, how many a rank budget has
    left. Not every line holds all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mended = False

    def append(self, *, step: int, epoch: float, **metrics: float | None) -> None:
        """Add a line; NaN and infinities become null. RunError if the disk is full or refuses."""
        line = json.dumps(finite({"step": step, "epoch": epoch, **metrics}), allow_nan=False)
        with explained(self.path):
            if not self._mended:
                file_at(self.path)  # refuses a FIFO, which would keep the run waiting
                self._drop_torn_line()
            self._mended = False  # a full disk may take half of the line
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(line + "\n")
            self._mended = True

    def read(self) -> list[dict[str, Any]]:
        """All lines; [] without a file. A torn last line (the process was killed while writing) is left out.

        Raises:
            RunError: a line before the last is not a JSON object.
        """
        if not self.path.exists():
            return []
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise RunError("the history cannot be read", where=str(self.path), found=error.strerror) from error
        *lines, _torn = content.split(b"\n")
        return [self._parsed(line, number) for number, line in enumerate(lines, 1) if line.strip()]

    def truncate_after(self, step: int) -> None:
        """Drop the lines of later steps: a resumed run goes through them again."""
        if self.path.exists():
            kept = [json.dumps(row) for row in self.read() if row.get("step", 0) <= step]
            write_text_atomic(self.path, "".join(f"{line}\n" for line in kept))

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise RunError(
                "the history is broken",
                where=f"{self.path}, line {number}",
                expected="a JSON object",
                found=repr(line[:60].decode("utf-8", "replace")),
                fix="delete the line; the metrics of that step are lost, the run is not",
            )
        return row

    def _drop_torn_line(self) -> None:
        """Cut what follows the last newline, so that the next line starts on its own."""
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)
