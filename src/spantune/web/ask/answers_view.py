"""What the models answered to one question, ready for the page: scores, marks in the context, who agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.data import Example
from spantune.web.answer_queue import RequestAnswers
from spantune.web.answer_scores import AnswerScore, find_answers, score_answer
from spantune.web.ask.heatmap import HeatStrip, strips
from spantune.web.highlight import AnswerMark, ContextPiece, cut, in_lanes
from spantune.web.models import Model

if TYPE_CHECKING:
    from spantune.data.prediction import Prediction


@dataclass(frozen=True)
class ShownAnswer:
    """One model's answer. `score` is None where the accepted answers are not known."""

    model: Model
    prediction: Prediction
    milliseconds: float
    together: int
    score: AnswerScore | None = None

    @property
    def right(self) -> bool:
        """Whether it is known to be right."""
        return self.score is not None and self.score.right

    @property
    def twentieths(self) -> int:
        """The probability in steps of a twentieth: the class of its bar."""
        return round(20 * self.prediction.probability)


@dataclass(frozen=True)
class Opinion:
    """An answer and the models that gave it. `score` is None where the accepted answers are not known."""

    text: str
    models: tuple[Model, ...]
    score: AnswerScore | None = None


@dataclass(frozen=True)
class QuestionResult:
    """One question, answered.

    Attributes:
        pieces: of the context, with every model's answer marked; `lanes` of them are below each other at most.
        opinions: the different answers, right ones first, then that of most models.
        strips: looks inside, where they were asked for.
    """

    example: Example
    shown: tuple[ShownAnswer, ...]
    pieces: tuple[ContextPiece, ...]
    lanes: int
    opinions: tuple[Opinion, ...]
    strips: tuple[HeatStrip, ...] = ()

    @property
    def right(self) -> int | None:
        """Models whose answer is right; None where the accepted answers are not known."""
        known = any(answer.score is not None for answer in self.shown)
        return sum(answer.right for answer in self.shown) if known else None

    @property
    def together(self) -> int:
        """Questions that were answered at once, those of others among them: what the times are for."""
        return self.shown[0].together


def result_of(
    example: Example, answers: Mapping[str, RequestAnswers], models: Sequence[Model], golds: Sequence[str] | None
) -> QuestionResult:
    """The answers to one question.

    Args:
        golds: accepted answers; () where no answer is right, None where they are not known.
    """
    shown = []
    for model in models:
        of_model = answers[model.name]
        (prediction,) = of_model.predictions
        score = score_answer(prediction.text, golds, squad_v2=model.squad_v2)
        shown.append(ShownAnswer(model, prediction, of_model.milliseconds, of_model.together, score))
    marks = in_lanes(
        [
            AnswerMark(answer.prediction.start, answer.prediction.end, answer.model.number, answer.model.look)
            for answer in shown
            if answer.prediction.text
        ]
    )
    inside = {model.name: seen for model in models if (seen := answers[model.name].inside) is not None}
    return QuestionResult(
        example,
        tuple(shown),
        tuple(cut(example.context, find_answers(example.context, golds or ()), marks)),
        max((mark.lane + 1 for mark in marks), default=0),
        _opinions(shown),
        strips(example.context, models, inside),
    )


def _opinions(shown: Sequence[ShownAnswer]) -> tuple[Opinion, ...]:
    # Rules of v1.1 and v2.0 may score one text differently: what is right to one model is not wrong to another.
    alike: dict[tuple[str, bool], list[ShownAnswer]] = {}
    for answer in shown:
        alike.setdefault((answer.prediction.text, answer.right), []).append(answer)
    ordered = sorted(alike.values(), key=lambda answers: (not answers[0].right, -len(answers)))
    return tuple(
        Opinion(answers[0].prediction.text, tuple(answer.model for answer in answers), answers[0].score)
        for answers in ordered
    )
