"""Turn raw rows into examples, repair what has one right repair, and record every defect.

Every `Example` that leaves this file holds `context[answer.start:answer.end] == answer.text` for all its answers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from spantune.config import Rows
from spantune.data.checks.defects import ALL_ROWS, Defect
from spantune.data.checks.offset_units import OffsetUnit, offset_unit
from spantune.data.checks.repairs import FoundAnswer, find_once, is_words, starts_of
from spantune.data.checks.row_joining import joined_rows
from spantune.data.checks.texts import text_fault, without_control_characters
from spantune.data.example import Answer, Example
from spantune.data.readers.raw_row import CutText, RawRow, Unreadable, is_missing


@dataclass(slots=True)
class CheckedRows:
    """Examples of one source after checking: `rows == len(examples) + dropped + rows joined`, always.

    `tallies` counts what is completed without being a defect: ids made, offsets found.
    """

    examples: list[Example] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    @property
    def dropped(self) -> int:
        return self.rows - self.tallies["rows joined"] - len(self.examples)


def check_rows(
    rows: Iterable[RawRow], source: str, require_answers: bool = True, joined: Rows = "joined"
) -> CheckedRows:
    """Check all rows of one source.

    Args:
        require_answers: False: answers are neither read nor checked, and rows are not joined.
        joined: see `ReadConfig.rows`.
    """
    checked = CheckedRows()
    every = list(rows)
    checked.rows = len(every)
    if require_answers and joined == "joined":
        every = _joined(every, source, checked)
    unit = offset_unit(every) if require_answers else None
    seen: dict[str, Example] = {}
    for number, row in enumerate(every):
        checked.tallies.update(row.left_out)
        example = _RowCheck(row, number, source, checked, unit).example(require_answers)
        if example is not None and (example := _unique(example, row, source, seen, checked)):
            seen[example.id] = example
            checked.examples.append(example)
    if unit is not None:
        number = checked.tallies["offsets converted"]
        detail = f"answer_start counts {unit.name}; {number} were converted to characters"
        checked.defects.append(Defect("offset-unit", ALL_ROWS, source, "", "answer_start", detail))
    return checked


def _joined(rows: list[RawRow], source: str, checked: CheckedRows) -> list[RawRow]:
    joined = joined_rows(rows)
    if fewer := len(rows) - len(joined):
        checked.tallies["rows joined"] = fewer
        questions = f"{len(joined)} question{'s' * (len(joined) > 1)}"
        detail = f"{len(rows)} rows are {questions} (--rows separate keeps each row a question)"
        checked.defects.append(Defect("joined-rows", ALL_ROWS, source, "", "answers", detail))
    return joined


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

    def __init__(self, row: RawRow, number: int, source: str, checked: CheckedRows, unit: OffsetUnit | None) -> None:
        self.row, self.source, self.checked, self.unit = row, source, checked, unit
        known = f"(row {number})" if is_missing(row.id) else str(row.id)[:80]
        self.name = known.encode("utf-8", "backslashreplace").decode()

    def note(self, kind: str, field: str, detail: str, repair: str | None = None) -> None:
        self.checked.defects.append(Defect(kind, self.name, self.source, self.row.where, field, detail, repair))

    def example(self, require_answers: bool) -> Example | None:
        """The row as an example, or None if something in it cannot be mended."""
        question = self.text(self.row.question, "question")
        context = self.text(self.row.context, "context")
        identifier = self.identifier(question, context)
        if question is None or context is None or identifier is None:
            return None
        answers = self.answers(context) if require_answers else ()
        if answers is None:
            return None
        title = self.row.title
        title = title if isinstance(title, str) and text_fault(title) is None else ""  # it only names groups
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
        elif (fault := text_fault(value)) is None:
            return value
        elif fault.kind == "empty":
            self.note(f"empty-{field}" if field in ("question", "context") else "empty-answer", field, fault.detail)
        elif fault.kind == "control-character":
            self.note(fault.kind, field, fault.detail, "each replaced by a blank")
            return without_control_characters(value)
        else:
            self.note(fault.kind, field, fault.detail)
        return None

    def answers(self, context: str) -> tuple[Answer, ...] | None:
        """The answers at their offsets; None if none of those given is usable."""
        given, impossible = self.row.answers, self.row.impossible
        if isinstance(given, Unreadable):
            self.note("answers-unreadable", "answers", given.detail)
            return None
        if isinstance(impossible, Unreadable):
            self.note("impossible-unreadable", "is_impossible", impossible.detail)
            return None
        if impossible and given and all(_is_no_answer(text, start) for text, start in given):
            return ()
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
        if self.unit is not None and offset is not None and (answer := self.unit.answer(context, text, offset)):
            self.checked.tallies["offsets converted"] += 1
            return answer
        if offset is not None and offset >= 0 and context.startswith(text, offset):
            if offset is not start:
                self.note("offset-type", f"{field}.answer_start", f"{start!r}", f"read as {offset}")
            answer = Answer(text, offset)
            if isinstance(value, CutText) and not is_words(context, offset, answer.end):
                self.note("inside-word", field, f"the span is {text!r}, inside {_word_at(context, answer)!r}")
            return answer
        place = find_once(context, text)
        kind = "answer-offset" if offset is not None else "offset-type"
        where = place.answer if place is not None and not place.in_word else None
        self.note(kind, f"{field}.answer_start", _mismatch(context, text, start, offset, place), _moved(where, text))
        return where

    def without_offset(self, context: str, text: str, field: str) -> Answer | None:
        place = find_once(context, text)
        if place is not None and place.answer.text == text:
            self.checked.tallies["offsets found"] += 1
            if place.in_word:
                self.note("inside-word", f"{field}.answer_start", _position(context, text, place))
            return place.answer
        where = place.answer if place is not None and not place.in_word else None
        self.note("offset-missing", f"{field}.answer_start", _position(context, text, place), _moved(where, text))
        return where


def _is_no_answer(text: object, start: object) -> bool:
    """Whether an answer says that there is none, as some tools write it: an empty text, or the offset -1."""
    return is_missing(text) or text in ([], ()) or not str(text).strip() or _whole_number(start) == -1 or start == -1


_NO_ANSWER = "no answer; if none is meant, give an empty list or a column is_impossible"


def _mismatch(context: str, text: str, start: object, offset: int | None, place: FoundAnswer | None) -> str:
    if offset is None:
        return f"expected a whole number, found {start!r}; {_position(context, text, place)}"
    there = repr(context[offset : offset + len(text)]) if 0 <= offset < len(context) else "nothing"
    return f"the text at {offset} is {there}, not {text!r}; {_position(context, text, place)}"


def _position(context: str, text: str, place: FoundAnswer | None) -> str:
    if place is not None and place.in_word:
        return f"{text!r} is only inside {_word_at(context, place.answer)!r}, at {place.answer.start}"
    times = len(starts_of(context, text))
    if times:
        return f"{text!r} is at {place.answer.start}" if place else f"{text!r} occurs {times} times"
    return f"the context has {place.answer.text!r}" if place else f"{text!r} is not in the context"


def _word_at(context: str, answer: Answer) -> str:
    """The white-space-separated text around an answer."""
    start = max((at for at in range(answer.start + 1) if at == 0 or context[at - 1].isspace()), default=0)
    end = next((at for at in range(answer.end, len(context)) if context[at].isspace()), len(context))
    return context[start:end][:60]


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
