"""Reads the official files: predictions `{"id": "answer"}` and null odds `{"id": 1.25}`; `scoring.official` writes."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from spantune.data.readers.text_files import NotJson, described, parse_json, read_text
from spantune.errors import DataError
from spantune.scoring.official_metrics import Rules, score

_WRITTEN_BY = "`spantune predict` and `spantune evaluate` write this format"


def read_predictions(path: str | os.PathLike[str]) -> dict[str, str]:
    """The prediction file at `path`; DataError says which entry is not an answer."""
    content = _read(path, '{"id": "answer", …}')
    for key, value in content.items():
        if not isinstance(value, str):
            raise DataError(
                "an answer in the prediction file is not a text",
                where=f"{path}, id {key!r}",
                expected='a string ("" for "no answer")',
                found=described(value),
                fix='write "" for "no answer", or leave the id out where there is no prediction',
            )
    return content


def read_null_odds(path: str | os.PathLike[str]) -> dict[str, float]:
    """The null odds (or probabilities of "no answer") at `path`; DataError says which entry is not a number."""
    content = _read(path, '{"id": number, …}')
    for key, value in content.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            raise DataError(
                "an entry of the null-odds file is not a number",
                where=f"{path}, id {key!r}",
                expected="a number: null score minus best span score, or a probability",
                found="NaN" if isinstance(value, float) else described(value),
                fix=_WRITTEN_BY,
            )
    return content


def score_file(
    references: str,
    predictions: str | os.PathLike[str],
    null_odds: str | os.PathLike[str] | None = None,
    *,
    null_threshold: float = 1.0,
    rules: Rules | None = None,
    columns: tuple[str, ...] = (),
) -> dict[str, float]:
    """Scores a prediction file against any data source; see `metrics.score` for the arguments and the result."""
    from spantune.data.corpus import load_references

    answers = read_predictions(predictions)
    odds = None if null_odds is None else read_null_odds(null_odds)
    examples = load_references(references, columns=columns)
    ids = {example.id for example in examples}
    for path, content in ((predictions, answers), (null_odds, odds)):
        if content is not None and ids.isdisjoint(content):
            raise DataError(
                "the file is for other questions: none of its ids is among the references",
                where=str(path),
                expected=f"ids of {references}" + (f", such as {examples[0].id!r}" if examples else ""),
                found=f"{len(content)} ids" + (f", such as {next(iter(content))!r}" if content else ""),
                fix="check that references and predictions belong together",
            )
    return score(examples, answers, odds, null_threshold, rules)


def _read(path: str | os.PathLike[str], expected: str) -> dict[str, Any]:
    text = read_text(Path(path), expected=f"a JSON file {expected}", may_be_empty=True)
    try:
        content = parse_json(text, str(path), pairs=lambda pairs: _unambiguous(pairs, path))
    except NotJson as error:
        raise DataError(
            "the file is not JSON", where=error.where, expected=expected, found=error.found, fix=error.fix
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            "the file is not an object of ids",
            where=str(path),
            expected=expected,
            found=described(content),
            fix=_WRITTEN_BY,
        )
    return content


def _unambiguous(pairs: list[tuple[str, Any]], path: str | os.PathLike[str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content and content[key] != value:
            raise DataError(
                "an id stands twice with different values",
                where=f"{path}, id {key!r}",
                expected="one value for an id",
                found=f"{content[key]!r} and {value!r}",
            )
        content[key] = value
    return content
