"""Which questions are answered: what the forms of Ask and Documents hold, the limits of a request and of a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from spantune.data import Example
from spantune.web.limits import MOST_ANSWERS
from spantune.web.models import Model
from spantune.web.problem_details import Problem, too_many
from spantune.web.state import web

_CHARACTERS = 5_000
"""A context counts as one question for each of these: reading it is what takes time."""
_TITLE = "Not a question that can be answered"


@dataclass(frozen=True)
class QuestionForm:
    """What the forms of Ask and Documents have in common.

    Attributes:
        golds: accepted answers. unanswerable: whether "no answer" is the right one.
        models: that are asked; () where none is chosen.
    """

    question: str
    golds: tuple[str, ...]
    unanswerable: bool
    models: tuple[Model, ...]

    @property
    def accepted(self) -> tuple[str, ...] | None:
        """Accepted answers; () for "no answer", None where they are not known."""
        return self.golds or (() if self.unanswerable else None)

    @property
    def names(self) -> list[str]:
        """The names of the models."""
        return [model.name for model in self.models]

    def check(self) -> None:
        """Problem 422 where no model is asked, or there are too many true answers."""
        if not self.models:
            raise Problem(422, _TITLE, "Choose a model.")
        if len(self.golds) > MOST_ANSWERS:
            raise Problem(422, _TITLE, f"At most {MOST_ANSWERS} true answers, found {len(self.golds):,}.")


def read_form(form: MultiDict[str, str]) -> dict[str, Any]:
    """The fields of a `QuestionForm`, from a form or an address; unknown models are left out.

    An address that names no model means all of them. A form says with `choice` that it offers a choice.
    """
    names, models = set(form.getlist("model")), web().models
    chosen = tuple(model for model in models if model.name in names)
    return {
        "question": form.get("question", "").strip(),
        "golds": tuple(dict.fromkeys(filter(None, map(str.strip, form.get("answers", "").split("\n"))))),
        "unanswerable": "unanswerable" in form,
        "models": chosen if chosen or "choice" in form else models,
    }


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


def admit(examples: Sequence[Example], *, longest: int | None = None) -> None:
    """Let the questions of this request in.

    Args:
        longest: characters of a context; default: `max_context` of the settings.

    Raises:
        Problem: 422 where one is empty or too long, or there are too many; 429 where the client asked too much.
    """
    settings = web().settings
    most = longest or settings.max_context
    errors = []
    if len(examples) > settings.max_questions:
        errors.append({"where": "questions", "problem": f"at most {settings.max_questions}, found {len(examples)}"})
    for number, example in enumerate(examples):
        for name, limit in (("question", settings.max_question), ("context", most)):
            text = getattr(example, name)
            where = name if len(examples) == 1 else f"questions[{number}].{name}"
            if not text.strip():
                errors.append({"where": where, "problem": "is empty"})
            elif len(text) > limit:
                problem = f"is too long: at most {limit:,} characters, found {len(text):,}"
                errors.append({"where": where, "problem": problem})
    if errors:
        named = [f"The {error['where']}" if error["where"].isalpha() else error["where"] for error in errors[:3]]
        detail = " ".join(f"{name} {error['problem']}." for name, error in zip(named, errors, strict=False))
        # Documents takes what is too long for a context.
        longer = any(most < len(example.context) <= settings.max_document for example in examples)
        link = ("Ask it on Documents", url_for("documents.page")) if longer else None
        raise Problem(422, _TITLE, detail, errors=errors[:20], link=link)
    charge(sum(max(1, len(example.context) // _CHARACTERS) for example in examples))


def client_gone() -> Callable[[], bool]:
    """Whether the client of this request has gone, to be called later; False under servers that do not say so."""
    gone: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
    return gone


def charge(questions: int) -> None:
    """Count questions against the client's limit; Problem 429 where there are too many."""
    buckets = web().buckets
    if seconds := buckets.take(request.remote_addr or "", questions):
        raise too_many(seconds, buckets.per_minute)
