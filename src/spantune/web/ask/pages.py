"""The page that asks: one question to the chosen models, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from spantune.data import Example
from spantune.web.admission import admit, client_gone
from spantune.web.ask.answers_view import Result, result
from spantune.web.forms import check, chosen, true_answers
from spantune.web.limits import LONGEST_LINK
from spantune.web.problem_details import Problem
from spantune.web.served_models import Model
from spantune.web.state import Web, web

PAGES = Blueprint("ask", __name__)
_EXAMPLES = 6


@dataclass(frozen=True)
class Asked:
    """What the form holds.

    Attributes:
        golds: accepted answers, one a line. unanswerable: whether "no answer" is the right one.
        names: of the chosen models; () where none is.
    """

    question: str = ""
    context: str = ""
    golds: tuple[str, ...] = ()
    unanswerable: bool = False
    names: tuple[str, ...] = ()
    inside: bool = False

    @classmethod
    def of(cls, form: MultiDict[str, str], models: Sequence[Model]) -> Asked:
        """From a form or an address."""
        return cls(
            form.get("question", "").strip(),
            form.get("context", "").replace("\r\n", "\n"),
            true_answers(form),
            "unanswerable" in form,
            tuple(one.name for one in chosen(form, models)),
            "inside" in form,
        )

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Accepted answers; () for "no answer", None where nobody said."""
        return self.golds or (() if self.unanswerable else None)

    def link(self, models: Sequence[Model]) -> str | None:
        """The address that asks the same; None where it would be too long."""
        parts = [("question", self.question), ("context", self.context)]
        parts += [("answers", "\n".join(self.golds))] if self.golds else []
        parts += [(key, "1") for key in ("unanswerable", "inside") if getattr(self, key)]
        parts += [("model", name) for name in self.names] if len(self.names) < len(models) else []
        address = f"{url_for('ask.page')}?{urlencode(parts)}"
        return address if len(address) <= LONGEST_LINK else None


@PAGES.get("/")
def page() -> ResponseReturnValue:
    """The empty form, or with the question of an address also its answers."""
    shared = web()
    number = request.args.get("example", type=int)
    asked = Asked.of(request.args, shared.models) if number is None else _of_example(shared, number)
    # A picture or a frame of another site's page is no reader: it may not make the models work.
    read = request.headers.get("Sec-Fetch-Dest", "document") in ("document", "empty")
    found = bool(asked.question and asked.context.strip()) and read
    state = shared.answerer.state
    return _page(shared, asked, answer=found and state == "ready", again=found and state == "loading")


@PAGES.post("/")
def answer() -> ResponseReturnValue:
    """The page with the answers; `?part=results` gives that part of it alone, for the script of the page."""
    shared = web()
    asked = Asked.of(request.form, shared.models)
    if request.args.get("part") != "results":
        return _page(shared, asked, answer=True)
    try:
        return render_template("results.html", **_answered(shared, asked))
    except Problem as problem:
        response = Response(render_template("refused.html", problem=problem), problem.status)
        response.headers.update(problem.headers)
        return response


@PAGES.get("/random")
def any_example() -> ResponseReturnValue:
    """On to one of the examples."""
    number = web().examples.random_number()
    return redirect(url_for("ask.page", example=number))  # None leaves it out


def _of_example(shared: Web, number: int) -> Asked:
    if not 0 <= number < len(shared.examples):
        return Asked.of(MultiDict(), shared.models)
    example = shared.examples[number]
    golds = tuple(dict.fromkeys(one.text for one in example.answers))
    inside = "inside" in request.args
    return Asked(example.question, example.context, golds, not golds, shared.names, inside)


def _page(shared: Web, asked: Asked, *, answer: bool, again: bool = False) -> Response:
    """The page; `again` lets it load itself once more, which a form must not: what was typed would be gone."""
    status, problem, headers = 200, None, {}
    found: dict[str, object] = {"result": None}
    if answer:
        try:
            found = _answered(shared, asked)
        except Problem as error:
            status, problem, headers = error.status, error, error.headers
    text = render_template(
        "ask.html",
        asked=asked,
        models=shared.models,
        limits=shared.settings,
        examples=shared.examples.some(_EXAMPLES),
        may_be_none=any(one.squad_v2 for one in shared.models),
        problem=problem,
        again=again,
        **found,
    )
    response = Response(text, status)
    response.headers.update(headers)
    return response


def _answered(shared: Web, asked: Asked) -> dict[str, object]:
    """What the template of the results takes; Problem where the question is refused."""
    example = Example("0", asked.question, asked.context)
    check(asked.names, asked.golds)
    admit([example])
    models = [one for one in shared.models if one.name in asked.names]
    answers = shared.answerer.ask([example], asked.names, inside=asked.inside, gone=client_gone())
    found: Result = result(example, answers, models, asked.wanted)
    return {"result": found, "link": asked.link(shared.models)}
