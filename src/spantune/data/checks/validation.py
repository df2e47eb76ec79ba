"""Turn raw rows into examples, repair what has one right repair, and record every defect.

Every `Example` that leaves this file holds `context[answer.start:answer.end] == answer.text` for all its answers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from spantune.data.checks.defects import Defect
from spantune.data.checks.repairs import find_once, starts_of
from spantune.data.example import Answer, Example
from spantune.data.readers.raw_row import RawRow, Unreadable, is_missing


@dataclass(slots=True)
class CheckedRows:
    """Examples of one source after checking: `rows == len(examples) + dropped`, always.

    `tallies` counts what is completed without being a defect: ids made, offsets found.
    """

    examples: list[Example] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    @property
    def dropped(self) -> int:
        return self.rows - len(self.examples)


def check_rows(rows: Iterable[RawRow], source: str, require_answers: bool = True) -> CheckedRows:
    """Check all rows of one source; with `require_answers=False` answers are neither read nor checked."""
    checked = CheckedRows()
    seen: dict[str, Example] = {}
    for number, row in enumerate(rows):
        checked.rows += 1
        example = _RowCheck(row, number, source, checked).example(require_answers)
        if example is not None and (example := _unique(example, row, source, seen, checked)):
            seen[example.id] = example
            checked.examples.append(example)
    return checked


def made_id(question: str, context: str) -> str:
    """An id for a row without one; it depends on neither the machine nor the position of the row."""
    return hashlib.sha256(f"{question}\0{context}".encode()).hexdigest()[:16]


def free_id(wanted: str, taken: Iterable[str]) -> str:
    """`wanted#2`, `wanted#3`, …: the first that is not taken."""
    number = 2
    while f"{wanted}#{number}" in taken:
        number += 1
    return f"{wanted}#{number}"


def _unique(
    example: Example, row: RawRow, source: str, seen: dict[str, Example], checked: CheckedRows
) -> Example | None:
    first = seen.get(example.id)
    if first is None:
        return example
    renamed = replace(example, id=free_id(example.id, seen))
    if is_missing(row.id):
        return renamed  # the doctor reports it as a repeated question
    same = replace(first, title="") == replace(example, title="")
    detail = "the same example occurs twice" if same else f"also the id of {first.question[:60]!r}"
    repair = "the repeat is dropped" if same else f"renamed to {renamed.id!r}"
    checked.defects.append(Defect("duplicate-id", example.id, source, row.where, "id", detail, repair))
    return None if same else renamed


class _RowCheck:
    """One row under examination."""

    def __init__(self, row: RawRow, number: int, source: str, checked: CheckedRows) -> None:
        self.row, self.source, self.checked = row, source, checked
        known = f"(row {number})" if is_missing(row.id) else str(row.id)[:80]
        self.name = known.encode("utf-8", "backslashreplace").decode()

    def note(self, kind: str, field: str, detail: str, repair: str | None = None) -> None:
        self.checked.defects.append(Defect(kind, self.name, self.source, self.row.where, field, detail, repair))

    def example(self, require_answers: bool) -> Example | None:
        """The row as an example, or None where something in it cannot be mended."""
        question = self.text(self.row.question, "question")
        context = self.text(self.row.context, "context")
        identifier = self.identifier(question, context)
        if question is None or context is None or identifier is None:
            return None
        answers = self.answers(context) if require_answers else ()
        if answers is None:
            return None
        title = self.row.title if isinstance(self.row.title, str) else ""
        return Example(identifier, question, context, answers, title, self.source)

    def identifier(self, question: str | None, context: str | None) -> str | None:
        value = self.row.id
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            if question is None or context is None:
                return None
            self.checked.tallies["ids made"] += 1
            self.row.id = None
            return made_id(question, context)
        return self.text(str(value) if isinstance(value, (int, float)) else value, "id")

    def text(self, value: object, field: str) -> str | None:
        """The value if it is a text with something in it."""
        if is_missing(value):
            self.note("missing-value", field, "no value")
        elif isinstance(value, int) and not isinstance(value, bool):
            self.note("wrong-type", field, f"the number {value}", "read as text")
            return str(value)
        elif not isinstance(value, str):
            self.note("wrong-type", field, f"expected a text, found {type(value).__name__} {str(value)[:40]!r}")
        elif not value.strip():
            self.note(f"empty-{field}" if field in ("question", "context") else "empty-answer", field, repr(value[:20]))
        elif not _encodable(value):
            self.note("broken-unicode", field, ascii(value[:60]))
        else:
            return value
        return None

    def answers(self, context: str) -> tuple[Answer, ...] | None:
        """The answers at their offsets; None if none of those given is usable."""
        given, impossible = self.row.answers, self.row.impossible
        if isinstance(given, Unreadable):
            self.note("answers-unreadable", "answers", given.detail)
            return None
        if given is None:
            if impossible:
                return ()
            self.note("missing-value", "answers", _NO_ANSWER)
            return None
        if impossible is not None and impossible == bool(given):
            value = "true" if impossible else "false"
            self.note("contradiction", "is_impossible", f"is_impossible is {value}, yet there are {len(given)} answers")
            return None
        before = len(self.checked.defects)
        answers = [self.answer(context, text, start, at) for at, (text, start) in enumerate(given)]
        good = tuple(answer for answer in answers if answer is not None)
        if given and not good:
            return None
        if len(good) < len(given):
            self.spare(before, len(good))
        return good

    def spare(self, before: int, left: int) -> None:
        """An answer beyond repair costs only itself if the question has others."""
        repair = f"this answer is dropped, {left} of the question's {'stays' if left == 1 else 'stay'}"
        tail = self.checked.defects[before:]
        self.checked.defects[before:] = [defect if defect.repair else replace(defect, repair=repair) for defect in tail]

    def answer(self, context: str, value: object, start: object, at: int) -> Answer | None:
        field = f"answers[{at}]"
        text = self.text(value, field)
        if text is None:
            return None
        if is_missing(start) or start == "":
            return self.without_offset(context, text, field)
        offset = start if isinstance(start, int) and not isinstance(start, bool) else _whole_number(start)
        if offset is not None and offset >= 0 and context.startswith(text, offset):
            if offset is not start:
                self.note("offset-type", f"{field}.answer_start", f"{start!r}", f"read as {offset}")
            return Answer(text, offset)
        place = find_once(context, text)
        kind = "answer-offset" if offset is not None else "offset-type"
        self.note(kind, f"{field}.answer_start", _mismatch(context, text, start, offset, place), _moved(place, text))
        return place

    def without_offset(self, context: str, text: str, field: str) -> Answer | None:
        place = find_once(context, text)
        if place is not None and place.text == text:
            self.checked.tallies["offsets found"] += 1
            return place
        self.note("offset-missing", f"{field}.answer_start", _position(context, text, place), _moved(place, text))
        return place


_NO_ANSWER = "no answer; if none is meant, give an empty list or a column is_impossible"


def _mismatch(context: str, text: str, start: object, offset: int | None, place: Answer | None) -> str:
    if offset is None:
        return f"expected a whole number, found {start!r}; {_position(context, text, place)}"
    there = repr(context[offset : offset + len(text)]) if 0 <= offset < len(context) else "nothing"
    return f"the text at {offset} is {there}, not {text!r}; {_position(context, text, place)}"


def _position(context: str, text: str, place: Answer | None) -> str:
    times = len(starts_of(context, text))
    if times:
        return f"{text!r} is at {place.start}" if place else f"{text!r} occurs {times} times"
    return f"the context has {place.text!r}" if place else f"{text!r} is not in the context"


def _moved(place: Answer | None, text: str) -> str | None:
    if place is None:
        return None
    return f"moved to {place.start}" + ("" if place.text == text else f" as {place.text!r}")


def _whole_number(value: object) -> int | None:
    """The int that a text or a float spells (pandas makes `12.0` of 12 in a column with gaps)."""
    if isinstance(value, bool) or not isinstance(value, (str, float)):
        return None
    try:
        number = int(value) if isinstance(value, str) and "." not in value else float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
