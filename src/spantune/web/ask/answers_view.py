"""What the models said to one question, made ready to be shown and to be sent: scores, words, marks, who agrees."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.data import Answer, Example
from spantune.scoring.official_metrics import f1, normalize_answer, question_scores, rules_of
from spantune.web.ask.answer_queue import Answered
from spantune.web.ask.heatmap import Strip, strips
from spantune.web.highlight import Mark, Piece, cut, in_lanes
from spantune.web.served_models import Model

if TYPE_CHECKING:
    from spantune.answering.span_collector import Prediction

_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u31f0-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Chinese and Japanese."""


@dataclass(frozen=True)
class Judged:
    """An answer held against the accepted ones.

    Attributes:
        em, f1: 0 to 1, by the official rules of what the model was trained on.
        missed, added: words of the nearest accepted answer that are lacking, and words beyond it, normalised.
    """

    em: float
    f1: float
    missed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """One model's answer. `judged` is None where nobody said what is right."""

    model: Model
    prediction: Prediction
    milliseconds: float
    together: int
    judged: Judged | None = None

    @property
    def right(self) -> bool:
        """Whether it is known to be right."""
        return self.judged is not None and bool(self.judged.em)

    @property
    def twentieths(self) -> int:
        """The probability in steps of a twentieth: the class of its bar."""
        return round(20 * self.prediction.probability)


@dataclass(frozen=True)
class Opinion:
    """An answer and the models that gave it. `judged` is None where nobody said what is right."""

    text: str
    models: tuple[Model, ...]
    judged: Judged | None = None


@dataclass(frozen=True)
class Result:
    """One question, answered.

    Attributes:
        pieces: of the context, with every model's answer marked; `lanes` of them lie below each other at most.
        opinions: the different answers, right ones first, then that of most models.
        strips: looks inside, where they were asked for.
    """

    example: Example
    shown: tuple[Shown, ...]
    pieces: tuple[Piece, ...]
    lanes: int
    opinions: tuple[Opinion, ...]
    strips: tuple[Strip, ...] = ()

    @property
    def right(self) -> int | None:
        """Models whose answer is right; None where nobody said what is."""
        known = any(one.judged is not None for one in self.shown)
        return sum(one.right for one in self.shown) if known else None

    @property
    def together(self) -> int:
        """Questions that were answered at once, those of others among them: what the times are for."""
        return self.shown[0].together


def result(
    example: Example, answers: Mapping[str, Answered], models: Sequence[Model], golds: Sequence[str] | None
) -> Result:
    """The answers to one question.

    Args:
        golds: accepted answers; () where no answer is right, None where nobody said.
    """
    shown = tuple(
        Shown(
            one,
            answers[one.name].predictions[0],
            answers[one.name].milliseconds,
            answers[one.name].together,
            judged(answers[one.name].predictions[0].text, golds, squad_v2=one.squad_v2),
        )
        for one in models
    )
    marks = in_lanes(
        [
            Mark(one.prediction.start, one.prediction.end, one.model.number, one.model.look)
            for one in shown
            if one.prediction.text
        ]
    )
    inside = {one.name: seen for one in models if (seen := answers[one.name].inside) is not None}
    return Result(
        example,
        shown,
        tuple(cut(example.context, places(example.context, golds or ()), marks)),
        max((one.lane + 1 for one in marks), default=0),
        _opinions(shown),
        strips(example.context, models, inside),
    )


def judged(text: str, golds: Sequence[str] | None, *, squad_v2: bool) -> Judged | None:
    """An answer against the accepted ones; None where these are not known."""
    if golds is None:
        return None
    answers = tuple(Answer(one, 0) for one in golds)
    example = Example("0", "", "", answers)
    (scored,) = question_scores([example], {"0": text}, rules=rules_of(squad_v2 or not golds)).values()
    nearest = max(golds, key=lambda one: f1(text, [one]), default="")
    wanted, said = normalize_answer(nearest).split(), normalize_answer(text).split()
    return Judged(*scored, _beyond(wanted, said), _beyond(said, wanted))


def _beyond(words: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The words that the others do not have, as often and in order."""
    left = Counter(words) - Counter(others)
    found = []
    for one in words:
        if left[one] > 0:
            left[one] -= 1
            found.append(one)
    return tuple(found)


def places(context: str, golds: Sequence[str]) -> list[tuple[int, int]]:
    """Where the context has the accepted answers as whole words, whatever their case and the white space in them."""
    found = set()
    for words in (one.split() for one in golds):
        pattern = r"\s+".join(map(re.escape, words))
        found |= {one.span() for one in re.finditer(pattern, context, re.IGNORECASE) if words}
    return sorted(one for one in found if _is_border(context, one[0]) and _is_border(context, one[1]))


def _is_border(context: str, at: int) -> bool:
    """Whether no word goes on here. Some scripts have no spaces: next to their letters words may begin anywhere."""
    if not 0 < at < len(context):
        return True
    before, behind = context[at - 1], context[at]
    if unicodedata.category(behind).startswith("M"):  # an accent belongs to the letter before it
        return False
    spaced = all(not _WITHOUT_SPACES.match(one) for one in (before, behind))
    return not (spaced and _is_letter(before) and behind.isalnum())


def _is_letter(one: str) -> bool:
    return one.isalnum() or unicodedata.category(one).startswith("M")


def _opinions(shown: Sequence[Shown]) -> tuple[Opinion, ...]:
    # Rules of v1.1 and v2.0 may judge one text differently: what is right to one model is not wrong to another.
    by_text: dict[tuple[str, bool], list[Shown]] = {}
    for one in shown:
        by_text.setdefault((one.prediction.text, one.right), []).append(one)
    ordered = sorted(by_text.items(), key=lambda pair: (not pair[0][1], -len(pair[1])))
    return tuple(Opinion(text, tuple(one.model for one in who), who[0].judged) for (text, _), who in ordered)
