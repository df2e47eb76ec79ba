"""The page that asks: one question to the chosen models, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from spantune.data import Example
from spantune.web.admission import QuestionForm, admit, client_gone, page_with_form, read_form
from spantune.web.ask.answers_view import result_of
from spantune.web.limits import LONGEST_LINK
from spantune.web.problem_details import Problem
from spantune.web.state import web

PAGES = Blueprint("ask", __name__)
_EXAMPLES = 6


@dataclass(frozen=True)
class AskForm(QuestionForm):
    """What the form of Ask holds; `inside` asks for a look inside."""

    context: str
    inside: bool

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> AskForm:
        """From a form or an address."""
        context = form.get("context", "").replace("\r\n", "\n")
        return cls(**read_form(form), context=context, inside="inside" in form)

    def link(self) -> str | None:
        """The address that asks the same; None where it would be too long."""
        parts = [("question", self.question), ("context", self.context)]
        parts += [("answers", "\n".join(self.golds))] if self.golds else []
        parts += [(key, "1") for key in ("unanswerable", "inside") if getattr(self, key)]
        parts += [("model", name) for name in self.names] if len(self.models) < len(web().models) else []
        address = f"{url_for('ask.page')}?{urlencode(parts)}"
        return address if len(address) <= LONGEST_LINK else None


@PAGES.get("/")
def page() -> ResponseReturnValue:
    """The empty form, or with the question of an address also its answers."""
    number = request.args.get("example", type=int)
    form = AskForm.of(request.args if number is None else _of_example(number))
    # A picture or a frame of another site's page is no reader: it may not make the models work.
    read = request.headers.get("Sec-Fetch-Dest", "document") in ("document", "empty")
    asked = bool(form.question and form.context.strip()) and read
    state = web().answerer.state
    return _page(form, answer=asked and state == "ready", again=asked and state == "loading")


@PAGES.post("/")
def answer() -> ResponseReturnValue:
    """The page with the answers; `?part=results` gives that part of it alone, for the script of the page."""
    form = AskForm.of(request.form)
    if request.args.get("part") != "results":
        return _page(form, answer=True)
    try:
        return render_template("results.html", **_answered(form))
    except Problem as problem:
        return Response(render_template("refused.html", problem=problem), problem.status, problem.headers)


@PAGES.get("/random")
def any_example() -> ResponseReturnValue:
    """On to one of the examples."""
    number = web().examples.random_number()
    return redirect(url_for("ask.page", example=number))  # None leaves it out


def _of_example(number: int) -> MultiDict[str, str]:
    """What the form holds that asks an example."""
    examples = web().examples
    if not 0 <= number < len(examples):
        return MultiDict()
    example = examples[number]
    filled = {"question": example.question, "context": example.context}
    filled |= {"inside": "1"} if "inside" in request.args else {}
    lines = "\n".join(gold.text for gold in example.answers)
    return MultiDict(filled | ({"answers": lines} if lines else {"unanswerable": "1"}))


def _page(form: AskForm, *, answer: bool, again: bool = False) -> Response:
    """The page; `again` lets it load itself once more, which a form must not: what was typed would be lost."""
    problem = None
    answered: dict[str, object] = {"result": None}
    if answer:
        try:
            answered = _answered(form)
        except Problem as error:
            problem = error
    examples = web().examples.some(_EXAMPLES)
    return page_with_form("ask.html", problem, form=form, examples=examples, again=again, **answered)


def _answered(form: AskForm) -> dict[str, object]:
    """What the template of the results takes; Problem where the question is refused."""
    example = Example("0", form.question, form.context)
    form.check()
    admit([example])
    answers = web().answerer.ask([example], form.names, inside=form.inside, gone=client_gone())
    return {"result": result_of(example, answers, form.models, form.accepted), "link": form.link()}
