"""The page that asks: one question to the chosen models, side by side."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from spantune.web.admission import QuestionForm, page_with_form
from spantune.web.ask.answers_view import results
from spantune.web.limits import LONGEST_LINK
from spantune.web.problem_details import Problem
from spantune.web.state import web

PAGES = Blueprint("ask", __name__)
_EXAMPLES = 6


@PAGES.get("/")
def page() -> ResponseReturnValue:
    """The empty form; an address with a question also gets its answers."""
    number = request.args.get("example", type=int)
    form = QuestionForm.read(request.args if number is None else _of_example(number))
    # An image or a frame on another site's page may not make the models work.
    read = request.headers.get("Sec-Fetch-Dest", "document") in ("document", "empty")
    asked = bool(form.question and form.context.strip()) and read
    state = web().answerer.state
    return _page(form, answer=asked and state == "ready", again=asked and state == "loading")


@PAGES.post("/")
def answer() -> ResponseReturnValue:
    """The page with the answers; `?part=results` gives that part of it alone, for the script of the page."""
    form = QuestionForm.read(request.form)
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
    """The form that asks an example."""
    examples = web().examples
    if not 0 <= number < len(examples):
        return MultiDict()
    example = examples[number]
    filled = {"question": example.question, "context": example.context}
    filled |= {"inside": "1"} if "inside" in request.args else {}
    lines = "\n".join(gold.text for gold in example.answers)
    return MultiDict(filled | ({"answers": lines} if lines else {"unanswerable": "1"}))


def _page(form: QuestionForm, *, answer: bool, again: bool = False) -> Response:
    """The page; `again` reloads it until the models are loaded, which would lose what was typed into a form."""
    problem, answered = None, {}
    if answer:
        try:
            answered = _answered(form)
        except Problem as error:
            problem = error
    examples = web().examples.some(_EXAMPLES)
    return page_with_form("ask.html", problem, form=form, examples=examples, again=again, **answered)


def _answered(form: QuestionForm) -> dict[str, object]:
    """What the template of the results takes; Problem if the question is refused."""
    answers = form.answers(form.context, web().settings.max_context)
    return {"result": results(form, answers), "link": _link(form)}


def _link(form: QuestionForm) -> str | None:
    """The address that asks the same; None if it would be too long."""
    parts = [("question", form.question), ("context", form.context)]
    parts += [("answers", "\n".join(form.golds))] if form.golds else []
    parts += [(key, "1") for key in ("unanswerable", "inside") if getattr(form, key)]
    parts += [("model", name) for name in form.names] if len(form.models) < len(web().models) else []
    address = f"{url_for('ask.page')}?{urlencode(parts)}"
    return address if len(address) <= LONGEST_LINK else None
