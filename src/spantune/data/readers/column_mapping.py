"""Which column of a flat source holds which part of an example, and its records as rows."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from spantune.data.readers.raw_row import RawAnswers, RawRow, Unreadable, answer_pairs, is_missing, truth
from spantune.errors import ConfigError, DataError, did_you_mean, nearest

# Each part and the columns that hold it unless `--columns` says otherwise (SQuAD's names).
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "question": ("question",),
    "context": ("context",),
    "answers": ("answers",),
    "answer": ("answer", "answer_text"),
    "answer_start": ("answer_start",),
    "title": ("title",),
    "is_impossible": ("is_impossible",),
}


def parse_columns(entries: Sequence[str]) -> dict[str, str]:
    """`("question=frage", "answer=antwort")` as `{part: column}`.

    Raises:
        ConfigError: an entry is not `part=column`, or the part is unknown.
    """
    mapping: dict[str, str] = {}
    for entry in entries:
        part, equals, column = (piece.strip() for piece in entry.partition("="))
        if not equals or not column:
            raise ConfigError("columns: an entry cannot be read", expected="question=YOUR_COLUMN", found=repr(entry))
        if part not in DEFAULTS:
            raise ConfigError(f"columns: unknown part {part!r}", found=repr(entry), fix=did_you_mean(part, DEFAULTS))
        if part in mapping:
            raise ConfigError(f"columns: {part!r} is given twice", found=f"{mapping[part]!r} and {column!r}")
        mapping[part] = column
    return mapping


def match_columns(
    present: Sequence[str], mapping: Mapping[str, str], where: str, require_answers: bool = True
) -> dict[str, str]:
    """The column that holds each part.

    A mapped column counts where the source has it; a source that lacks it falls back on SQuAD's name, so that one
    mapping serves a mix of your files and SQuAD.

    Raises:
        DataError: no column for the question, the context or (where required) the answers.
    """
    parts: dict[str, str] = {}
    for part, names in DEFAULTS.items():
        wanted = (mapping[part], *names) if part in mapping else names
        if column := next((name for name in wanted if name in present), None):
            parts[part] = column
    for part in ("question", "context"):
        if part not in parts:
            raise _no_column(part, present, mapping, where)
    if require_answers and "answers" not in parts and "answer" not in parts:
        raise _no_column("answer" if "answer" in mapping else "answers", present, mapping, where)
    if "answer" in mapping and parts.get("answer") == mapping["answer"] and "answers" not in mapping:
        parts.pop("answers", None)  # what the user names goes before what merely has SQuAD's name
    return parts


def _no_column(part: str, present: Sequence[str], mapping: Mapping[str, str], where: str) -> DataError:
    wanted = mapping.get(part)
    known = DEFAULTS[part] if part != "answers" else (*DEFAULTS["answers"], *DEFAULTS["answer"])
    near = next((match for name in (wanted, *known) if name and (match := nearest(name, present))), None)
    return DataError(
        f"no column for the {part}",
        where=where,
        expected=" or ".join(repr(name) for name in dict.fromkeys((wanted, *known)) if name),
        found=f"the columns {', '.join(map(repr, present)) or '(none)'}",
        fix=f"did you mean {near!r}? --columns {part}={near}" if near else f"name it: --columns {part}=YOUR_COLUMN",
    )


def record_rows(records: Iterable[tuple[str, Mapping[str, object]]], parts: Mapping[str, str]) -> Iterator[RawRow]:
    """Rows from (place, record) pairs, once `match_columns` has found the column of each part."""

    for where, record in records:
        cell = {part: record.get(column) for part, column in parts.items()}.get
        impossible = truth(cell("is_impossible"))
        yield RawRow(
            id=cell("id"),
            question=cell("question"),
            context=cell("context"),
            answers=_answers(cell("answers"), cell("answer"), cell("answer_start"), cell("context"), impossible),
            impossible=impossible,
            title=cell("title"),
            where=where,
        )


def _answers(answers: object, answer: object, start: object, context: object, impossible: bool | None) -> RawAnswers:
    value = answer if is_missing(answers) else answers
    serialized = isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and is_missing(start)
    if serialized and not (isinstance(context, str) and str(value) in context):  # else it is an answer in brackets
        value = _parsed_cell(str(value))
    if isinstance(value, Unreadable):
        return value
    # An empty cell means "the context does not answer it" only if the source says so.
    return () if value == "" and impossible else answer_pairs(value, start)


def _parsed_cell(cell: str) -> object:
    """Answers that `DataFrame.to_csv` wrote into one cell, as JSON or as Python's repr; a plain text stays as it is."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    # An answer may begin with a bracket ("[sic] ..."); a dictionary that does not parse is broken.
    return Unreadable(f"a cell that is neither JSON nor Python: {cell[:60]!r}") if cell.lstrip()[0] == "{" else cell
