"""Write and read the files of answers: the official ones, predictions `{"id": "answer"}` and null odds `{"id": 1.25}`,
and `n_best.json`, the candidates of every question."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.config import Rows
from spantune.data.readers.text_files import NotJson, described, parse_json, read_text
from spantune.errors import DataError
from spantune.runs.atomic_files import atomic_json_object, make_folder, write_text_atomic
from spantune.scoring.official_metrics import Rules, score

if TYPE_CHECKING:
    from spantune.data.prediction import Candidate, Prediction

_WRITTEN_BY = "`spantune predict` and `spantune evaluate` write this format"
_CANDIDATE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n      ", ": "))
_FIRST_CANDIDATE = re.compile(
    rb'\n  ("(?:[^"\\]|\\.)*"): \[\s*\{\s*"text": "(?:[^"\\]|\\.)*",\s*"start": (\d+),\s*"end": (\d+)'
)


def write_predictions(path: str | os.PathLike[str], predictions: Mapping[str, str], *, streams: bool = False) -> None:
    """Write `{"id": "answer"}` completely or not at all; its folder is made. RunError if that fails.

    Args:
        streams: as of `atomic_file`, here and below.
    """
    _write(path, dict(predictions), streams)


def write_null_odds(path: str | os.PathLike[str], null_odds: Mapping[str, float], *, streams: bool = False) -> None:
    """Write `{"id": odds}` completely or not at all; its folder is made. RunError if that fails.

    JSON has no infinity, the odds of a question without any span; the largest float takes its place.

    Raises:
        ValueError: an entry is NaN.
    """
    largest = sys.float_info.max
    finite = {key: math.copysign(largest, odds) if math.isinf(odds) else odds for key, odds in null_odds.items()}
    _write(path, finite, streams)


def _write(path: str | os.PathLike[str], content: Mapping[str, Any], streams: bool) -> None:
    target, text = Path(path), json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
    make_folder(target.parent)
    write_text_atomic(target, f"{text}\n", streams=streams)


@contextmanager
def n_best_file(path: Path, *, streams: bool = False) -> Iterator[Callable[[Prediction], None]]:
    """Write the candidates of each prediction that the yielded function receives; the file exists once the block has
    ended."""
    with atomic_json_object(path, streams=streams) as put:
        yield lambda prediction: put(prediction.id, _n_best_json(prediction.n_best))


def _n_best_json(candidates: Sequence[Candidate]) -> str:
    """What `json.dumps` with an indent makes of them inside an object, in two thirds of its time."""
    flat = (_CANDIDATE.encode(candidate._asdict())[1:-1] for candidate in candidates)
    listed = ",\n".join(f"    {{\n      {fields}\n    }}" for fields in flat)
    return f"[\n{listed}\n  ]" if listed else "[]"


def first_places(path: Path) -> dict[str, tuple[int, int]]:
    """The place of each question's best candidate in an `n_best.json`; {} if it is missing or laid out otherwise.

    The regular expression skips all other candidates. On 10,000 questions with 20 candidates each (34 MB) it takes
    0.08 s, and `json.loads` 0.42 s and ten times the file's memory.
    """
    try:
        matches = _FIRST_CANDIDATE.finditer(path.read_bytes())
    except OSError:
        return {}
    return {json.loads(match[1]): (int(match[2]), int(match[3])) for match in matches}


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
    rows: Rows = "joined",
    language: str | None = None,
) -> dict[str, float]:
    """Scores a prediction file against any data source; arguments and result as of `official_metrics.score`."""
    from spantune.data.checks.scripts import script_note
    from spantune.data.corpus import load_references

    answers = read_predictions(predictions)
    odds = None if null_odds is None else read_null_odds(null_odds)
    examples = load_references(references, columns=columns, rows=rows)
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
    if note := script_note(examples, language):
        warnings.warn(note, stacklevel=2)
    return score(examples, answers, odds, null_threshold, rules, language)


def _read(path: str | os.PathLike[str], expected: str) -> dict[str, Any]:
    text = read_text(Path(path), expected=f"a JSON file {expected}", may_be_empty=True)
    try:
        content = parse_json(text, str(path), pairs=lambda pairs: _unambiguous(pairs, path))
    except NotJson as error:
        raise DataError(
            "the file is not JSON", where=error.where, expected=expected, found=error.found, fix=error.fix
        ) from error
    if not isinstance(content, dict):
        found = described(content)
        raise DataError(
            "the file is not an object of ids", where=str(path), expected=expected, found=found, fix=_WRITTEN_BY
        )
    return content


def _unambiguous(pairs: list[tuple[str, Any]], path: str | os.PathLike[str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content and content[key] != value:
            raise DataError(
                "an id occurs twice with different values",
                where=f"{path}, id {key!r}",
                expected="one value for an id",
                found=f"{content[key]!r} and {value!r}",
            )
        content[key] = value
    return content
