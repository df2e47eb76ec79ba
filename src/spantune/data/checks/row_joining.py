"""Rows with one answer each that are about one question: one question with several accepted answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from spantune.data.readers.raw_row import RawRow, is_missing


def joined_rows(rows: Iterable[RawRow]) -> list[RawRow]:
    """The rows, those of one question as its first, with the answers of all.

    Rows of one question have the same question and context, and one answer each or the same id. Where some say that
    there is no answer and others give one, the joined row says both, and is a contradiction.
    """
    kept: list[RawRow] = []
    first: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = _key(row)
        if key is None:
            kept.append(row)
            continue
        place = first.setdefault(key, len(kept))
        if place == len(kept):
            kept.append(row)
        elif row.one_answer or _answers(row) != _answers(kept[place]):
            kept[place] = _joined(kept[place], row)
        else:
            kept.append(row)  # a repeat, which is a defect
    return kept


def _key(row: RawRow) -> tuple[object, ...] | None:
    """What rows of one question share; None where a row is not readable enough to be joined."""
    if not (isinstance(row.question, str) and isinstance(row.context, str) and isinstance(row.answers, Sequence)):
        return None
    if row.one_answer:
        return row.question, row.context
    identifier = row.id if isinstance(row.id, (str, int)) and not is_missing(row.id) else None
    return None if identifier is None else (identifier, row.question, row.context)


def _answers(row: RawRow) -> list[tuple[object, object]]:
    return list(row.answers) if isinstance(row.answers, Sequence) else []


def _joined(one: RawRow, other: RawRow) -> RawRow:
    answers = [*_answers(one), *_answers(other)]
    none_given = not _answers(one) or not _answers(other)
    contradiction = bool(answers) and none_given
    return replace(
        one,
        id=other.id if is_missing(one.id) else one.id,
        answers=answers,
        impossible=True if contradiction else one.impossible,
    )
