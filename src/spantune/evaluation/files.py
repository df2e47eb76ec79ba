"""The official files: predictions `{"id": "answer"}` and null odds `{"id": 1.25}`."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spantune.errors import DataError
from spantune.evaluation.metrics import Rules, score

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
                found=_kind(value),
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
                found=_kind(value),
                fix=_WRITTEN_BY,
            )
    return content


def write_predictions(path: str | os.PathLike[str], predictions: Mapping[str, str]) -> None:
    """Writes `{"id": "answer"}` whole or not at all."""
    _write(path, dict(predictions))


def write_null_odds(path: str | os.PathLike[str], null_odds: Mapping[str, float]) -> None:
    """Writes `{"id": odds}` whole or not at all.

    JSON has no infinity, which stands for a question without any span: the largest float takes its place.
    """
    largest = sys.float_info.max
    _write(path, {key: math.copysign(largest, odds) if math.isinf(odds) else odds for key, odds in null_odds.items()})


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
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError("the file does not exist", where=str(path), expected=f"a JSON file {expected}") from None
    except OSError as error:
        raise DataError("the file cannot be read", where=str(path), found=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise DataError(
            "the file is not UTF-8 text", where=f"{path}, byte {error.start}", expected=f"a JSON file {expected}"
        ) from error
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _unambiguous(pairs, path))
    except (json.JSONDecodeError, RecursionError) as error:
        found = str(error) if isinstance(error, json.JSONDecodeError) else "JSON nested too deeply"
        raise DataError("the file is not JSON", where=str(path), expected=expected, found=found) from error
    if not isinstance(content, dict):
        raise DataError(
            "the file is not an object of ids",
            where=str(path),
            expected=expected,
            found=_kind(content),
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


def _write(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    shown = repr(value)
    return f"{names.get(type(value), 'the value')}: {shown[:60]}{'…' if len(shown) > 60 else ''}"
