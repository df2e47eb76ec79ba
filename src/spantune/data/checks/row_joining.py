"""Rows with one answer each that are about one question: one question with several accepted answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from spantune.data.readers.raw_row import RawRow, is_missing


def joined_rows(rows: Iterable[RawRow]) -> list[RawRow]:
    """The rows, those of one question as its first, with the answers of all.

    Rows of one question have the same question and context, and one answer each or the same id. Rows with ids of their
    own are joined only where their answers differ: else they are a repeated question, which stays.
    """
    kept: list[RawRow] = []
    places: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if isinstance(row.question, str) and isinstance(row.context, str) and isinstance(row.answers, Sequence):
            known = places.setdefault((row.question.strip(), row.context.rstrip()), [])
            if (place := next((at for at in known if _is_one_question(kept[at], row)), None)) is not None:
                kept[place] = _joined(kept[place], row)
                continue
            known.append(len(kept))
        kept.append(row)
    return kept


def _is_one_question(row: RawRow, other: RawRow) -> bool:
    """Whether two rows with the same question and context are one question."""
    differ = not set(map(repr, _answers(other))) <= set(map(repr, _answers(row)))
    single = row.one_answer and other.one_answer
    if is_missing(row.id) and is_missing(other.id):
        return single or (differ and bool(_answers(row)))
    if is_missing(row.id) or is_missing(other.id):
        return single
    if row.id == other.id:
        return single or differ
    return single and differ and bool(_answers(row))


def _answers(row: RawRow) -> list[tuple[object, object]]:
    return list(row.answers) if isinstance(row.answers, Sequence) else []


def _joined(row: RawRow, other: RawRow) -> RawRow:
    """Both as one row; where only one of them has an answer, it contradicts itself, which is a defect."""
    answers = [*_answers(row), *_answers(other)]
    contradiction = bool(_answers(row)) != bool(_answers(other))
    return replace(
        row,
        id=other.id if is_missing(row.id) else row.id,
        answers=answers,
        impossible=contradiction or row.impossible,
    )
