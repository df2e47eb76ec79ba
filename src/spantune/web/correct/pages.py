"""The pages of corrections: mark the right span of a question, see what was corrected, and export it as SQuAD JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from spantune.errors import DataError
from spantune.scoring.error_kinds import occurrences
from spantune.web.corrections import FORMATS, key_of, to_squad
from spantune.web.highlight import cut
from spantune.web.limits import line_feeds, pages_of, whole
from spantune.web.problem_details import Problem, sentence
from spantune.web.question_index import NAMES
from spantune.web.security import requires_token
from spantune.web.state import web

PAGES = Blueprint("correct", __name__)
_PER_PAGE = 20
_AROUND = 40
"""Characters on either side of a place, if the context has the same words several times."""
_MOST_PLACES = 50
"""Places of the same words that are offered as a choice; above it, more of the words around them are needed."""


@dataclass(frozen=True)
class CorrectForm:
    """The question that is being corrected.

    Attributes:
        study, place: where it comes from, if from a study. golds: accepted places there.
        query: the filters of Explore that led to it. key: of its earlier correction, if the request names that.
    """

    question: str
    context: str
    study: str = ""
    place: int | None = None
    golds: tuple[tuple[int, int], ...] = ()
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    key: str | None = None


@PAGES.get("/corrections")
@requires_token
def listed() -> str:
    """What was corrected, the latest first."""
    kept = web().corrections
    count = kept.count()
    pages = pages_of(count, _PER_PAGE, request.args.get("page"))
    return render_template(
        "correct_list.html",
        count=count,
        shown=kept.listed(pages["first"] - 1, _PER_PAGE),
        change=kept.last_change(request.args.get("changed", "")),
        undone="undone" in request.args,
        **pages,
    )


@PAGES.route("/corrections/mark", methods=["GET", "POST"])
@requires_token
def mark() -> str:
    """The page on which the right span is marked; nothing is kept yet."""
    return _marking(_form(), request.values.get("text", ""), whole(request.values.get("start")))


@PAGES.post("/corrections")
@requires_token
def save() -> ResponseReturnValue:
    """Keep a correction, or say what is wrong with it on the same page."""
    form = _form()
    nothing = "no_answer" in request.form
    text = "" if nothing else _as_in(form.context, request.form.get("text", ""))
    start = None if nothing else whole(request.form.get("start"))
    if start is not None and not form.context.startswith(text, start):
        start = None  # the words were edited after marking, and they count
    problem = 'Nothing is marked: mark the right words, or choose "the context does not answer it".'
    if nothing or text.strip():
        try:
            return _back(web().corrections.put(form.question, form.context, text, start, form.study).key)
        except DataError as error:
            problem = sentence(error.problem)
    return Response(_marking(form, text, start, problem), 422)


@PAGES.post("/corrections/<key>/delete")
@requires_token
def delete(key: str) -> ResponseReturnValue:
    """Delete a correction; 404 if there is none."""
    if not web().corrections.delete(key):
        abort(404)
    return _back(key)


@PAGES.post("/corrections/<key>/undo")
@requires_token
def undo(key: str) -> ResponseReturnValue:
    """Put back what was there before the last change; if that is a later one than the page showed, only show it."""
    kept = web().corrections
    if kept.last_change(key) is None:
        abort(404)
    done = kept.undo(key, request.form.get("stamp", ""))
    return _back(key, undone=done and request.form.get("undone") == "1")


@PAGES.get("/corrections/export")
@requires_token
def export() -> Response:
    """All corrections as SQuAD JSON, in the requested version; default: v2.0 if a question has no answer."""
    kept = web().corrections.listed()[::-1]
    default = "v2.0" if any(correction.start is None for correction in kept) else "v1.1"
    version = request.args.get("version", default)
    if version not in FORMATS:
        raise Problem(422, "Not understood", f"version: expected {' or '.join(FORMATS)}.")
    content = json.dumps(to_squad(kept, version), ensure_ascii=False, indent=1) + "\n"
    disposition = f'attachment; filename="corrections-{version}.json"'
    return Response(content, mimetype="application/json", headers={"Content-Disposition": disposition})


def _back(key: str, undone: bool = False) -> ResponseReturnValue:
    """To the page that requested the change and now shows it: the question in its study, else the list."""
    changed: dict[str, Any] = {"changed": key, "undone": "1" if undone else None}  # None leaves it out
    study, place = request.form.get("study", ""), whole(request.form.get("place"))
    if study in web().shelf.folders and place is not None:
        return redirect(url_for("explore.question", study=study, place=place, **_query(), **changed), 303)
    return redirect(url_for("correct.listed", page=whole(request.form.get("page")), **changed), 303)


def _query() -> dict[str, Any]:
    """The filters of Explore in this request."""
    return {name: values for name in NAMES if (values := list(filter(None, request.values.getlist(name))))}


def _marking(form: CorrectForm, text: str, start: int | None, problem: str | None = None) -> str:
    spans = occurrences(form.context, text) if text.strip() else []
    known = any(at == start for at, _ in spans)
    if len(spans) > _MOST_PLACES and not known:
        problem = f"The context has these words in {len(spans):,} places: take in more of those around them."
    return render_template(
        "correct_mark.html",
        form=form,
        pieces=cut(form.context, form.golds, ()),
        text=text,
        start=start if known else None,
        places=[
            {"start": at, "before": form.context[max(0, at - _AROUND) : at], "after": form.context[end : end + _AROUND]}
            for at, end in (spans if 1 < len(spans) <= _MOST_PLACES else ())
        ],
        earlier=web().corrections.get(key_of(form.question, form.context)),
        problem=problem,
    )


def _form() -> CorrectForm:
    """The question that a request names: by its place in a study, by its earlier correction, or by its texts.

    Browsers send every line break of a form as CR LF, so texts with others are read from where they are kept.
    """
    study, place = request.values.get("study", ""), whole(request.values.get("place"))
    if study and place is not None:
        index = web().index(study)
        row = index.row_of(place)
        if row is None:
            abort(404)
        shown = index.question(row)
        return CorrectForm(shown.question, shown.context, study, place, shown.golds, _query())
    if key := request.values.get("key"):
        earlier = web().corrections.get(key)
        if earlier is None:
            abort(404)
        return CorrectForm(earlier.question, earlier.context, key=key)
    question, context = (line_feeds(request.values.get(name, "")) for name in ("question", "context"))
    limits = web().settings
    if len(question) > limits.max_question or len(context) > limits.max_document:
        most = f"At most {limits.max_question} characters of question, {limits.max_document} of context."
        raise Problem(413, "Too long", most)
    if not question.strip() or not context.strip():
        raise Problem(422, "Not understood", "A correction needs a question and a context.")
    return CorrectForm(question, context)


def _as_in(context: str, text: str) -> str:
    """The words with the line breaks of the context, and without spaces around them that the context does not have."""
    text = line_feeds(text)
    if "\r" in context and text not in context:
        match = re.search(r"(?:\r\n|\r|\n)".join(map(re.escape, text.split("\n"))), context)
        text = match[0] if match else text
    return text if text in context else text.strip()
