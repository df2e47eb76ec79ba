"""Accepted answers that a model cannot give, however well it learns: none of the spans it may choose spells them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spantune.answering.arrow_arrays import Lists
from spantune.answering.labels import SAYABLE, UNKNOWN
from spantune.answering.windows import Part, StreamedWindows, Windows
from spantune.errors import DataError

MOST_UNSAYABLE = 0.02
"""The largest share of a set's answers that may be unsayable before training on it stops."""
_AT_ONCE = 8192  # windows
TOO_LONG, SPLIT, ONE_TOKEN = "too long", "inside a token", "one unknown token"


class UnsayableAnswer(NamedTuple):
    """An accepted answer that cannot be given, and why.

    Attributes:
        id: of its example. text: the answer. tokens: how many it has. says: the text of these tokens.
        reason: `TOO_LONG`, `SPLIT` or `ONE_TOKEN`.
    """

    id: str
    text: str
    tokens: int
    says: str
    reason: str

    def detail(self, max_answer_length: int) -> str:
        """Why it cannot be given, in words."""
        if self.reason == TOO_LONG:
            return f"{_short(self.text)} has {self.tokens} tokens, more than --max-answer-length {max_answer_length}"
        kind = "one unknown token is" if self.reason == ONE_TOKEN else "the tokens around it say"
        return f"{_short(self.text)} cannot be said: {kind} {_short(self.says)}"


@dataclass(frozen=True)
class UnsayableAnswers:
    """All of a set, and how many answers it has that are in a window."""

    answers: tuple[UnsayableAnswer, ...]
    labelled: int
    max_answer_length: int

    @property
    def share(self) -> float:
        return len(self.answers) / self.labelled if self.labelled else 0.0

    def counts(self) -> Counter[str]:
        """How many by reason."""
        return Counter(answer.reason for answer in self.answers)

    def summary(self) -> str:
        """`12 of 340 answers cannot be said by the model (9 longer than …, 3 …; first ids …)`."""
        words = {
            TOO_LONG: f"longer than the {self.max_answer_length} tokens of --max-answer-length",
            SPLIT: "begin or end inside a token",
            ONE_TOKEN: "part of a text that is one unknown token",
        }
        reasons = ", ".join(f"{number} {words[reason]}" for reason, number in self.counts().most_common())
        ids = ", ".join(dict.fromkeys(answer.id for answer in self.answers[:3]))
        number = f"{len(self.answers)} of {self.labelled}"
        return f"{number} answers cannot be said by the model: {reasons} (first ids {ids})"

    def refuse(self, name: str) -> None:
        """DataError if more than `MOST_UNSAYABLE` of the answers cannot be said."""
        if self.share <= MOST_UNSAYABLE:
            return
        counts = self.counts()
        remedies = []
        if counts[TOO_LONG]:
            longest = max(answer.tokens for answer in self.answers if answer.reason == TOO_LONG)
            remedies.append(f"--max-answer-length {longest}")
        if counts[SPLIT]:
            remedies.append("answers of whole words")
        if counts[SPLIT] or counts[ONE_TOKEN]:
            remedies.append("an encoder whose tokenizer knows the language")
        raise DataError(
            f"{100 * self.share:.1f}% of the answers cannot be said by the model: it would learn other texts",
            where=f"{name}, first id {self.answers[0].id!r}: {self.answers[0].detail(self.max_answer_length)}",
            expected=f"at most {100 * MOST_UNSAYABLE:g}%",
            found=self.summary(),
            fix=f"{' and '.join(remedies)}; or go on as it is: --allow-unsayable",
        )


def unsayable_answers(windows: Windows | StreamedWindows, max_answer_length: int) -> UnsayableAnswers:
    """Compare each accepted answer with the text of its tokens, and its length with the longest that is decoded."""
    found: list[UnsayableAnswer] = []
    labelled = 0
    for part in windows.parts(_AT_ONCE):
        rows = np.repeat(np.arange(part.windows), Lists.of(part.columns["starts"]).lengths)
        first, last, fault, answer = (_joined(part, name) for name in ("starts", "ends", "faults", "answers"))
        owner = np.asarray(part.columns["example"])[rows]
        _, once = np.unique(np.stack([owner, answer]), axis=1, return_index=True)
        labelled += len(once)
        long = last - first >= max_answer_length
        for at in once[long[once] | (fault[once] != SAYABLE)].tolist():
            reason = TOO_LONG if long[at] else ONE_TOKEN if fault[at] == UNKNOWN else SPLIT
            found.append(_described(part, rows[at], first[at], last[at], int(owner[at]), int(answer[at]), reason))
    return UnsayableAnswers(tuple(found), labelled, max_answer_length)


def _joined(part: Part, name: str) -> np.ndarray:
    """The numbers of all lists of a column, one after another."""
    lists = Lists.of(part.columns[name])
    return np.concatenate([np.zeros(0, np.int64), *lists])


def _described(part: Part, row: int, first: int, last: int, owner: int, answer: int, reason: str) -> UnsayableAnswer:
    example = part.examples[owner - part.first]
    offsets = Lists.of(part.columns["offsets"])[row]
    at = 2 * (np.array([first, last]) - part.columns["context_first"][row])
    says = example.context[offsets[at[0]] : offsets[at[1] + 1]]
    return UnsayableAnswer(example.id, example.answers[answer].text, int(last - first) + 1, says, reason)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
