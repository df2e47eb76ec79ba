"""Which column of a flat source holds which part of an example, and its records as rows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spantune.data.readers.answer_forms import STARTS, answer_pairs
from spantune.data.readers.cell_text import ShortenedText, looks_structured, parse_cell
from spantune.data.readers.raw_row import RawAnswers, RawRow, Unreadable, bounded, is_missing
from spantune.data.readers.truth import truth
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

# `Dataset.flatten()` and pandas' json_normalize make two columns of SQuAD's answers.
_FLATTENED = (".text", "_text", "/text", "__text")
_OFFSETS_BESIDE = tuple((text, start) for text in ("answer_text", "text") for start in ("answer_start", "start"))
_OPTIONAL = ("id", "answer_start", "title", "is_impossible")
_COLUMNS_SHOWN = 30
_NUMBERS = re.compile(r"[\s\d.,()\[\]-]+")

Records = list[tuple[str, Mapping[str, Any]]]


class ToolRecord(dict[str, Any]):
    """A record of an annotation tool.

    `left_out` names what is not in it: cancelled annotations, spans with other labels. `one_annotation` says that
    the tool writes a record for each annotation, so that several records may be about one question.
    """

    left_out: tuple[str, ...] = ()
    one_annotation = False


def known_names(mapping: Mapping[str, str]) -> frozenset[str]:
    """The names by which a record is known to be a row."""
    return frozenset(mapping.values()).union(*DEFAULTS.values())


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
    present: Sequence[str],
    mapping: Mapping[str, str],
    where: str,
    require_answers: bool = True,
    inferred: Mapping[str, str] | None = None,
    sample: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """The column that holds each part.

    A mapped column counts where the source has it; a source that lacks it falls back on SQuAD's name, so that one
    mapping serves a mix of your files and SQuAD.

    Args:
        inferred: what the values say of columns with other names: for parts that are not found otherwise.
        sample: some records, for the advice.

    Raises:
        DataError: no column for the question, the context or (where required) the answers.
    """
    named = {name.strip(): name for name in reversed(present)}
    parts: dict[str, str] = {}
    for part, names in DEFAULTS.items():
        wanted = (mapping[part], *names) if part in mapping else names
        if column := next((name for name in wanted if name in named), None):
            parts[part] = named[column]
    _add_spelled_otherwise(parts, named)
    _add_flattened(parts, present, mapping)
    _add_annotated(parts, present)
    for part, column in (inferred or {}).items():
        answered = part == "answers" and "answer" in parts
        if part not in parts and column not in parts.values() and not answered:
            parts[part] = column
    _add_offsets(parts, present, sample)
    for part in ("question", "context"):
        if part not in parts:
            raise _no_column(part, present, mapping, parts, where, sample)
    if require_answers and "answers" not in parts and "answer" not in parts:
        part = "answer" if "answer" in mapping else "answers"
        raise _no_column(part, present, mapping, parts, where, sample)
    if "answer" in mapping and parts.get("answer") == mapping["answer"] and "answers" not in mapping:
        parts.pop("answers", None)  # what the user names goes before what merely has SQuAD's name
    return parts


def _add_spelled_otherwise(parts: dict[str, str], named: Mapping[str, str]) -> None:
    """`Answer Start` and `isImpossible`: nobody would miss the parts that a row may lack."""
    folded = {_folded(name): column for name, column in named.items() if column not in parts.values()}
    for part in _OPTIONAL:
        if part not in parts and (column := folded.get(_folded(part))):
            parts[part] = column


def _folded(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def _add_flattened(parts: dict[str, str], present: Sequence[str], mapping: Mapping[str, str]) -> None:
    """`answers.text` and `answers.answer_start`, and the same under the name that the user gave to the answers."""
    if "answers" not in parts and "answer" not in parts:
        stems = filter(None, (mapping.get("answers"), mapping.get("answer"), "answers", "answer"))
        names = (stem + text for stem in stems for text in _FLATTENED)
        if column := next((name for name in names if name in present), None):
            parts["answers"] = column
    column = parts.get("answers") or parts.get("answer") or ""
    for text, start in _OFFSETS_BESIDE:
        before, found, after = column.rpartition(text)
        if found and (offsets := before + start + after) in present:
            parts.setdefault("answer_start", offsets)


def _add_annotated(parts: dict[str, str], present: Sequence[str]) -> None:
    """Haystack's annotation tool: `text` is the answer, because another column is the context."""
    if {"answers", "answer"} & parts.keys() or not {"context", "answer_start"} <= parts.keys():
        return
    if "text" in present and "text" not in parts.values():
        parts["answer"] = "text"
        if "question_id" in present:
            parts.setdefault("id", "question_id")


def _add_offsets(parts: dict[str, str], present: Sequence[str], sample: Sequence[Mapping[str, Any]]) -> None:
    """`start` or the like beside one answer a row, where all records that are looked at have their answers there."""
    text, context = parts.get("answers") or parts.get("answer"), parts.get("context")
    if text is None or context is None or "answer_start" in parts:
        return
    for column in STARTS:
        if column not in present or column in parts.values():
            continue
        answers = [(record.get(text), record.get(context), record.get(column)) for record in sample]
        found = [_is_at(*answer) for answer in answers if not any(map(is_missing, answer))]
        if found and all(found):
            parts["answer_start"] = column
            return


def _is_at(text: object, context: object, start: object) -> bool:
    if not isinstance(text, str) or not isinstance(context, str) or not str(start).isdecimal():
        return False
    return context.startswith(text, int(str(start)))


def _no_column(
    part: str,
    present: Sequence[str],
    mapping: Mapping[str, str],
    parts: Mapping[str, str],
    where: str,
    sample: Sequence[Mapping[str, Any]],
) -> DataError:
    wanted = mapping.get(part)
    known = DEFAULTS[part] if part != "answers" else (*DEFAULTS["answers"], *DEFAULTS["answer"])
    free = [name for name in present if name not in parts.values() and name.strip()]
    answers = part in ("answers", "answer")
    kinds = (str, list, tuple, Mapping) if answers else (str,)
    values = {name: [value for record in sample if not is_missing(value := record.get(name))] for name in free}
    texts = [name for name in free if not sample or any(_may_be_text(value, kinds) for value in values[name])]
    quoting = [name for name in texts if answers and _quotes(name, parts["context"], sample)]
    near = next((match for name in (wanted, *known) if name and (match := nearest(name, quoting or texts))), None)
    if len(quoting) == 1:
        near = quoting[0]
    if near:
        fix = f"did you mean {near!r}? --columns {shlex.quote(f'{part}={near.strip()}')}"
    else:
        fix = (
            f"name it: --columns {part}=YOUR_COLUMN"
            if texts
            else f"add a column {known[0]!r}: no other is left that could hold it"
        )
    shown = ", ".join(map(repr, present[:_COLUMNS_SHOWN])) or "(none)"
    return DataError(
        f"no column for the {part}",
        where=where,
        expected=" or ".join(repr(name) for name in dict.fromkeys((wanted, *known)) if name),
        found=f"the columns {shown}" + (" …" if len(present) > _COLUMNS_SHOWN else ""),
        fix=fix,
    )


def _may_be_text(value: object, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of these types and no number or list of numbers in a CSV."""
    return isinstance(value, kinds) and not (isinstance(value, str) and _NUMBERS.fullmatch(value))


def _quotes(name: str, context: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the texts of a column are all found in the contexts."""
    pairs = [(record.get(name), record.get(context)) for record in sample]
    texts = [(text, whole) for text, whole in pairs if isinstance(text, str) and isinstance(whole, str)]
    return bool(texts) and all(text in whole for text, whole in texts)


def record_rows(records: Iterable[tuple[str, Mapping[str, Any]]], parts: Mapping[str, str]) -> Iterator[RawRow]:
    """Rows from (place, record) pairs, once `match_columns` has found the column of each part."""
    for where, record in records:
        cell = {part: record.get(column) for part, column in parts.items()}.get
        context, impossible = bounded(cell("context")), truth(cell("is_impossible"))
        answers = cell("answer") if is_missing(cell("answers")) else cell("answers")
        value, start = _written_out(answers, cell("answer_start"), context)
        tool = record if isinstance(record, ToolRecord) else None
        yield RawRow(
            id=bounded(cell("id")),
            question=bounded(cell("question")),
            context=context,
            answers=_answers(value, start, context, impossible),
            impossible=impossible,
            title=cell("title"),
            where=where,
            one_answer=tool.one_annotation if tool else not isinstance(value, (list, tuple, Mapping)),
            left_out=tool.left_out if tool else (),
        )


def _answers(value: object, start: object, context: object, impossible: bool | Unreadable | None) -> RawAnswers:
    if isinstance(value, Unreadable):
        return value
    # An empty cell means "the context does not answer it" only if the source says so.
    return () if (is_missing(value) or value == "") and impossible is True else answer_pairs(value, start, context)


def _written_out(value: object, start: object, context: object) -> tuple[object, object]:
    """The answers and their offsets, parsed where they were written as text into cells.

    An answer may begin with a bracket: what the context holds is a text ("[1832]"), and so is what does not parse
    ("[sic] ..."); a dictionary that does not parse is broken.
    """
    if isinstance(start, str) and looks_structured(start):
        start = _parsed(start, start)
    if not isinstance(value, str) or not looks_structured(value) or (isinstance(context, str) and value in context):
        return value, start
    broken = Unreadable(f"a cell that is neither JSON nor Python: {value[:60]!r}")
    parsed = _parsed(value, broken if value.lstrip()[0] == "{" else value)
    beside = not is_missing(start) and not isinstance(start, list)
    if beside and isinstance(parsed, list) and not any(isinstance(answer, (str, Mapping)) for answer in parsed):
        return value, start  # a text in brackets with one offset
    return parsed, start


def _parsed(cell: str, otherwise: object) -> object:
    try:
        return parse_cell(cell)
    except ShortenedText as error:
        return Unreadable(str(error))
    except ValueError:
        return otherwise
