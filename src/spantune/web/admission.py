"""What the pages and the API that ask have in common: the form, its limits, and the client's share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Response, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from spantune.data import Example
from spantune.data.checks.texts import text_fault
from spantune.web.answer_queue import RequestAnswers
from spantune.web.answer_scores import AnswerScore, score_answer
from spantune.web.limits import MOST_ANSWERS, client_of
from spantune.web.models import Model
from spantune.web.problem_details import Problem, too_many
from spantune.web.state import web

if TYPE_CHECKING:
    from spantune.data.prediction import Prediction

_CHARACTERS = 5_000
"""A context counts as one question for each of these: reading it is what takes time."""


@dataclass(frozen=True)
class ScoredAnswer:
    """One model's answer to the question of a form. `score` is None if the accepted answers are not known."""

    model: Model
    given: RequestAnswers
    score: AnswerScore | None

    @property
    def prediction(self) -> Prediction:
        """The answer."""
        return self.given.predictions[0]

    @property
    def right(self) -> bool:
        """Whether it is known to be right."""
        return self.score is not None and self.score.right


@dataclass(frozen=True)
class QuestionForm:
    """What the forms of Ask and Documents hold.

    Attributes:
        golds: accepted answers. unanswerable: whether "no answer" is the right one.
        models: that are asked; () if none is chosen. inside: whether to look inside.
    """

    question: str
    context: str
    golds: tuple[str, ...]
    unanswerable: bool
    models: tuple[Model, ...]
    inside: bool

    @classmethod
    def read(cls, form: MultiDict[str, str]) -> QuestionForm:
        """From a form or an address; unknown models are left out.

        An address that names no model means all of them. A form says with `choice` that it offers a choice.
        """
        names, models = set(form.getlist("model")), web().models
        chosen = tuple(model for model in models if model.name in names)
        return cls(
            question=form.get("question", "").strip(),
            context=form.get("context", "").replace("\r\n", "\n"),
            golds=tuple(dict.fromkeys(filter(None, map(str.strip, form.get("answers", "").split("\n"))))),
            unanswerable="unanswerable" in form,
            models=chosen if chosen or "choice" in form else models,
            inside="inside" in form,
        )

    @property
    def accepted(self) -> tuple[str, ...] | None:
        """Accepted answers; () for "no answer", None if they are not known."""
        return self.golds or (() if self.unanswerable else None)

    @property
    def names(self) -> list[str]:
        """The names of the models."""
        return [model.name for model in self.models]

    def answers(self, context: str, longest: int) -> list[ScoredAnswer]:
        """Each model's answer about a context of at most `longest` characters; Problem if the form is refused."""
        settings = web().settings
        mistakes = [] if self.models else ["Choose a model."]
        if len(self.golds) > MOST_ANSWERS:
            mistakes.append(f"At most {MOST_ANSWERS} true answers, found {len(self.golds):,}.")
        for name, text, limit in (("question", self.question, settings.max_question), ("context", context, longest)):
            if len(text) > limit:
                mistakes.append(f"The {name} is too long: at most {limit:,} characters, found {len(text):,}.")
            elif fault := text_fault(text):
                mistakes.append(f"The {name} {fault.words}.")
        if mistakes:
            fits = longest < len(context) <= settings.max_document
            link = ("Ask it on Documents", url_for("documents.page")) if fits else None
            raise Problem(422, "Not a question that can be answered", " ".join(mistakes), link=link)
        answers_by_model = ask([Example("0", self.question, context)], self.names, inside=self.inside)
        answers = []
        for model in self.models:
            text = answers_by_model[model.name].predictions[0].text
            score = score_answer(text, self.accepted, squad_v2=model.squad_v2, language=model.language)
            answers.append(ScoredAnswer(model, answers_by_model[model.name], score))
        return answers


def page_with_form(template: str, problem: Problem | None = None, **context: Any) -> Response:
    """A page with a form, and above its results what is wrong with what was sent."""
    shared = web()
    text = render_template(
        template,
        models=shared.models,
        limits=shared.settings,
        may_be_none=any(model.squad_v2 for model in shared.models),
        problem=problem,
        **context,
    )
    return Response(text, problem.status if problem else 200, problem.headers if problem else None)


def ask(examples: Sequence[Example], names: Sequence[str], *, inside: bool = False) -> Mapping[str, RequestAnswers]:
    """As `Answerer.ask`, after counting the questions against the client's limit."""
    charge(sum(max(1, len(example.context) // _CHARACTERS) for example in examples))
    gone = request.environ.get("waitress.client_disconnected", lambda: False)
    return web().answerer.ask(examples, names, inside=inside, gone=gone)


def charge(questions: int) -> None:
    """Count questions against the client's limit; Problem 429 if there are too many."""
    buckets = web().buckets
    if seconds := buckets.take(client_of(request.remote_addr or ""), questions):
        raise too_many(seconds, buckets.per_minute)
