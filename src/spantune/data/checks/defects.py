"""The kinds of defects of an example, and which of them stop a training run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class DefectKind:
    """A sort of defect. A blocking one makes training refuse the data; a note is only reported."""

    blocking: bool
    summary: str


# Blocking defects would train or score something other than what the data says. Notes may be legitimate (annotators
# repeat themselves, a mix may share contexts); the user judges them.
KINDS = MappingProxyType(
    {
        "missing-value": DefectKind(True, "a field has no value (absent, null, NaN or an empty cell)"),
        "wrong-type": DefectKind(True, "a field does not hold text"),
        "broken-unicode": DefectKind(True, "a field holds half a surrogate pair, which no encoder can read"),
        "control-character": DefectKind(True, "a field holds a control character that is no white space"),
        "empty-question": DefectKind(True, "a question is empty or white space"),
        "empty-context": DefectKind(True, "a context is empty or white space"),
        "empty-answer": DefectKind(True, "an answer is empty or white space"),
        "answers-unreadable": DefectKind(True, "the answers are in no known form"),
        "offset-type": DefectKind(True, "answer_start is not a whole number"),
        "offset-missing": DefectKind(True, "an answer has no offset and does not occur in its context exactly once"),
        "answer-offset": DefectKind(True, "the text at an answer's offset is not the answer"),
        "impossible-unreadable": DefectKind(True, "is_impossible holds neither yes nor no"),
        "contradiction": DefectKind(True, "is_impossible and the answers contradict each other"),
        "duplicate-id": DefectKind(
            True, "two examples have the same id, so predictions for them cannot be distinguished"
        ),
        "unanswerable": DefectKind(True, "a question without an answer where none is allowed (see --squad-v2)"),
        "offset-unit": DefectKind(False, "the offsets of the whole file count something else than characters"),
        "joined-rows": DefectKind(False, "several rows with one answer each are one question with several answers"),
        "inside-word": DefectKind(False, "an answer without an offset or a text of its own is only inside a word"),
        "duplicate-question": DefectKind(False, "the same question on the same context occurs twice"),
        "shared-context": DefectKind(False, "a context is in the other split too"),
        "unsayable-answer": DefectKind(
            False, "the model cannot say an answer; training stops where it cannot say more than 2% of a set's"
        ),
        "unreachable-answer": DefectKind(False, "no window of the chosen length holds a whole answer"),
    }
)


ALL_ROWS = "(all rows)"
"""The id of a note on a whole file."""
OFFSET_KINDS = frozenset(("offset-type", "offset-missing", "answer-offset"))
"""Defects that matter to training alone: the scorers compare texts."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that is wrong with one example.

    Args:
        kind: a key of `KINDS`.
        id: the example's id as given, or its row number if it has none.
        source: the source it was read from.
        where: its place in the source (`line 12`, `data[0].paragraphs[3].qas[1]`), or empty.
        field: the field that is wrong.
        detail: its value.
        repair: what `--repair` does about it; None if no repair is certain (the example is then dropped).
    """

    kind: str
    id: str
    source: str
    where: str
    field: str
    detail: str
    repair: str | None = None

    @property
    def blocking(self) -> bool:
        """Whether training refuses data that has it."""
        return KINDS[self.kind].blocking

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where and self.where != self.id else ""
        return f"{self.id}{place} {self.field}: {self.detail}" + (f" -> {self.repair}" if self.repair else "")


CASES_SHOWN = 5


def defects_text(defects: Iterable[Defect], indent: str = "  ") -> str:
    """DefectKind by kind: how many, what it means, and the first cases."""
    kinds: dict[str, list[Defect]] = {}
    for defect in defects:
        kinds.setdefault(defect.kind, []).append(defect)
    lines: list[str] = []
    for kind in sorted(kinds, key=list(KINDS).index):
        cases = kinds[kind]
        mended = sum(case.repair is not None for case in cases)
        remedy = f" [{mended} can be mended]" if KINDS[kind].blocking else ""
        lines.append(f"{indent}{kind}: {len(cases)}, {KINDS[kind].summary}{remedy}")
        lines += [f"{indent}  {case}" for case in cases[:CASES_SHOWN]]
        if len(cases) > CASES_SHOWN:
            lines.append(f"{indent}  and {len(cases) - CASES_SHOWN} more")
    return "\n".join(lines)
