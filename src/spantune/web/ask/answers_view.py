"""What the models answered to one question, ready for the page: scores, marks in the context, who agrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spantune.web.admission import QuestionForm
from spantune.web.answer_queue import RequestAnswers
from spantune.web.answer_scores import AnswerScore, find_answers, score_answer
from spantune.web.ask.heatmap import strips
from spantune.web.highlight import AnswerMark, cut, in_lanes
from spantune.web.models import Model

if TYPE_CHECKING:
    from spantune.data.prediction import Prediction


@dataclass(frozen=True)
class ShownAnswer:
    """One model's answer. `score` is None where the accepted answers are not known."""

    model: Model
    prediction: Prediction
    milliseconds: float
    score: AnswerScore | None

    @property
    def right(self) -> bool:
        """Whether it is known to be right."""
        return self.score is not None and self.score.right


def results(form: QuestionForm, answers: Mapping[str, RequestAnswers]) -> dict[str, Any]:
    """What the template of the results shows.

    Returns:
        shown: an answer a model. opinions: the same in groups of equal answers, right ones first, then that of most
        models. right: how many are right; None where the accepted answers are not known.
        pieces: of the context, with every answer marked in one of `lanes`. strips: looks inside, if asked for.
        together: how many questions were answered at once, which is what the times are for.
    """
    shown = []
    for model in form.models:
        (prediction,) = answers[model.name].predictions
        score = score_answer(prediction.text, form.accepted, squad_v2=model.squad_v2, language=model.language)
        shown.append(ShownAnswer(model, prediction, answers[model.name].milliseconds, score))
    marks = in_lanes(
        [
            AnswerMark(answer.prediction.start, answer.prediction.end, answer.model.number, answer.model.look)
            for answer in shown
            if answer.prediction.text
        ]
    )
    # v1.1 and v2.0 may score the same text differently: what is right for one model is not wrong for another.
    alike: dict[tuple[str, bool], list[ShownAnswer]] = {}
    for answer in shown:
        alike.setdefault((answer.prediction.text, answer.right), []).append(answer)
    return {
        "form": form,
        "shown": shown,
        "opinions": sorted(alike.values(), key=lambda group: (not group[0].right, -len(group))),
        "right": None if form.accepted is None else sum(answer.right for answer in shown),
        "pieces": cut(form.context, find_answers(form.context, form.golds), marks),
        "lanes": max((mark.lane + 1 for mark in marks), default=0),
        "strips": strips(form.context, form.models, answers),
        "together": answers[form.names[0]].together,
    }
