"""Answers scored against the accepted ones, and the places of these in a context."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field

from spantune.data import Answer, Example
from spantune.scoring.official_metrics import f1, normalizer, question_scores, rules_of

_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u31f0-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Chinese and Japanese."""


Shown = TypeVar("Shown")


@dataclass(frozen=True)
class AnswerScore:
    """An answer scored by the rules by which the model's run was scored; EM and F1 from 0 to 1."""

    em: Annotated[float, Field(ge=0, le=1)]
    f1: Annotated[float, Field(ge=0, le=1)]
    missed: Annotated[
        list[str], Field(description="Words of the nearest accepted answer that it does not have, normalised.")
    ]
    added: Annotated[list[str], Field(description="Words beyond that.")]

    @property
    def right(self) -> bool:
        """Whether it is an accepted answer."""
        return bool(self.em)


def score_answer(
    text: str, golds: Sequence[str] | None, *, squad_v2: bool, language: str | None = None
) -> AnswerScore | None:
    """An answer against the accepted ones; None if these are not known.

    Args:
        language: of MLQA's rules; None for the official rule.
    """
    if golds is None:
        return None
    example = Example("0", "", "", tuple(Answer(gold, 0) for gold in golds))
    rules = rules_of(squad_v2 or not golds)
    ((em, best_f1),) = question_scores([example], {"0": text}, rules=rules, language=language).values()
    nearest = max(golds, key=lambda gold: f1(text, [gold], language), default="")
    accepted, answered = (normalizer(language)(words).split() for words in (nearest, text))
    return AnswerScore(em, best_f1, _beyond(accepted, answered), _beyond(answered, accepted))


def in_groups(answers: Iterable[Shown], key: Callable[[Shown], tuple[bool, Any]]) -> list[list[Shown]]:
    """Groups of answers with the same key, which begins with whether they are right: those first, then large groups."""
    groups: dict[tuple[bool, Any], list[Shown]] = {}
    for answer in answers:
        groups.setdefault(key(answer), []).append(answer)
    return [group for _, group in sorted(groups.items(), key=lambda item: (not item[0][0], -len(item[1])))]


def _beyond(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """The words that the others do not have, as often and in order."""
    left = Counter(words) - Counter(others)
    beyond = []
    for word in words:
        if left[word] > 0:
            left[word] -= 1
            beyond.append(word)
    return beyond


def find_answers(context: str, golds: Sequence[str]) -> list[tuple[int, int]]:
    """Where the context has the accepted answers as whole words, whatever their case and the white space in them."""
    spans = set()
    for words in filter(None, map(str.split, golds)):
        pattern = r"\s+".join(map(re.escape, words))
        spans |= {match.span() for match in re.finditer(pattern, context, re.IGNORECASE)}
    return sorted(span for span in spans if all(_is_border(context, edge) for edge in span))


def _is_border(context: str, at: int) -> bool:
    """Whether a word may begin or end here; in scripts without spaces that is anywhere."""
    if not 0 < at < len(context):
        return True
    before, after = context[at - 1], context[at]
    if unicodedata.category(after).startswith("M"):  # an accent belongs to the letter before it
        return False
    spaced = not any(map(_WITHOUT_SPACES.match, (before, after)))
    is_letter = before.isalnum() or unicodedata.category(before).startswith("M")
    return not (spaced and is_letter and after.isalnum())
