"""Answers that a spreadsheet or `DataFrame.to_csv` wrote into one cell, as JSON or as Python wrote them."""

from __future__ import annotations

import ast
import json

from spantune.data.readers.raw_row import Unreadable


def written_answers(cell: str) -> object:
    """The value of `{"text": ["x"], "answer_start": [3]}` (JSON or Python's repr); a plain text stays what it is."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    # An answer may begin with a bracket ("[sic] ..."); a dictionary that does not parse is broken.
    return Unreadable(f"a cell that is neither JSON nor Python: {cell[:60]!r}") if cell.lstrip()[0] == "{" else cell
