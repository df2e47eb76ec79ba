"""What the models answered to one question, ready for the page: scores, marks in the context, who agrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spantune.web.admission import QuestionForm, ScoredAnswer
from spantune.web.answer_scores import find_answers, in_groups
from spantune.web.ask.heatmap import strips
from spantune.web.highlight import AnswerMark, cut, in_lanes


def results(form: QuestionForm, answers: Sequence[ScoredAnswer]) -> dict[str, Any]:
    """What the template of the results shows.

    Returns:
        shown: an answer a model. opinions: the same in groups of equal answers.
        right: how many are right; None if the accepted answers are not known.
        pieces: of the context, with every answer marked in one of `lanes`. strips: looks inside, if asked for.
        together: how many questions were answered at once, which is what the times are for.
    """
    marks = in_lanes(
        [
            AnswerMark(answer.prediction.start, answer.prediction.end, answer.model.number, answer.model.look)
            for answer in answers
            if answer.prediction.text
        ]
    )
    return {
        "form": form,
        "shown": answers,
        "opinions": in_groups(answers, lambda answer: (answer.right, answer.prediction.text)),
        "right": None if form.accepted is None else sum(answer.right for answer in answers),
        "pieces": cut(form.context, find_answers(form.context, form.golds), marks),
        "lanes": max((mark.lane + 1 for mark in marks), default=0),
        "strips": strips(form.context, answers),
        "together": answers[0].given.together,
    }
