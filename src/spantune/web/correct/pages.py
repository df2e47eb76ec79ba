"""The pages of corrections: mark the right span of a question, see what was corrected, and take it away as SQuAD."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from spantune.errors import DataError
from spantune.reports.judged_answers import Incomplete
from spantune.scoring.error_kinds import occurrences
from spantune.web.correct.store import Corrections, Format, key_of, to_squad
from spantune.web.explore.index_cache import Unread
from spantune.web.explore.question_index import NAMES
from spantune.web.highlight import cut
from spantune.web.limits import whole
from spantune.web.problem_details import Problem, busy, sentence
from spantune.web.security import requires_token
from spantune.web.state import web

PAGES = Blueprint("correct", __name__)
_PER_PAGE = 20
_AROUND = 40
"""Characters on either side of a place, where the same words stand in several."""
_MOST_PLACES = 50
"""Places of the same words among which one is chosen; who means a letter of a long text says more of the words."""


@dataclass(frozen=True)
class Asked:
    """The question that is being corrected.

    Attributes:
        study, place: where it stands, if it is from a study. golds: accepted places there.
        query: the filters with which it was found there. key: of its earlier correction, if it is named by that.
    """

    question: str
    context: str
    study: str | None = None
    place: int | None = None
    golds: tuple[tuple[int, int], ...] = ()
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True)
class Place:
    """One of several places of the same words, with those around it."""

    start: int
    before: str
    text: str
    after: str


def corrections() -> Corrections:
    """Those of the app whose request is being answered."""
    return Corrections(web().data_dir)


@PAGES.get("/corrections")
@requires_token
def listed() -> str:
    """What was corrected, the latest first."""
    kept = corrections()
    count = kept.count()
    pages = max(1, -(-count // _PER_PAGE))
    page = min(whole(request.args.get("page")) or 1, pages)
    before = (page - 1) * _PER_PAGE
    shown = kept.listed(before, _PER_PAGE)
    named = {"count": count, "page": page, "pages": pages, "first": before + 1}
    change = kept.last_change(request.args.get("changed", ""))
    return render_template("correct_list.html", shown=shown, change=change, undone="undone" in request.args, **named)


@PAGES.route("/corrections/mark", methods=["GET", "POST"])
@requires_token
def mark() -> str:
    """The page on which the right span is marked; nothing is kept yet."""
    asked = _asked()
    return _marking(asked, request.values.get("text", ""), whole(request.values.get("start")))


@PAGES.post("/corrections")
@requires_token
def save() -> ResponseReturnValue:
    """Keep a correction, or say what is wrong with it on the same page."""
    asked = _asked()
    nothing = request.form.get("no_answer") is not None
    text = "" if nothing else _as_in(asked.context, request.form.get("text", ""))
    start = None if nothing else whole(request.form.get("start"))
    if start is not None and asked.context[start : start + len(text)] != text:
        start = None  # the words were edited after they had been marked: these count
    title = asked.study or ""
    if not nothing and not text.strip():
        problem = 'Nothing is marked: mark the right words, or choose "the context does not answer it".'
        return Response(_marking(asked, text, start, problem), 422)
    try:
        made = corrections().put(asked.question, asked.context, text, start, title)
    except DataError as error:
        return Response(_marking(asked, text, start, sentence(error.problem)), 422)
    return _back(made.key)


@PAGES.post("/corrections/<key>/delete")
@requires_token
def delete(key: str) -> ResponseReturnValue:
    """Take a correction away; 404 where there is none."""
    if not corrections().delete(key):
        abort(404)
    return _back(key)


@PAGES.post("/corrections/<key>/undo")
@requires_token
def undo(key: str) -> ResponseReturnValue:
    """Put back what was there before the last change; where another one came between, show that and do nothing."""
    kept = corrections()
    if kept.last_change(key) is None:
        abort(404)
    done = kept.undo(key, request.form.get("stamp", ""))
    return _back(key, undone=done and request.form.get("undone") == "1")


@PAGES.get("/corrections/export")
@requires_token
def export() -> Response:
    """All corrections as SQuAD JSON, in the form that was asked for; default: v2.0 where a question has no answer."""
    kept = corrections().listed()[::-1]
    default = "v2.0" if any(one.start is None for one in kept) else "v1.1"
    asked = request.args.get("version", default)
    versions: dict[str, Format] = {one: one for one in get_args(Format)}
    if asked not in versions:
        raise Problem(422, "Not understood", f"version: expected {' or '.join(versions)}.")
    content = to_squad(kept, versions[asked])
    response = Response(json.dumps(content, ensure_ascii=False, indent=1) + "\n", mimetype="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="corrections-{asked}.json"'
    return response


def _back(key: str, undone: bool = False) -> ResponseReturnValue:
    """To where the change was asked for, which says that it was made: the question in its study, else the list."""
    said: dict[str, Any] = {"changed": key, **({"undone": "1"} if undone else {})}
    study, place = request.form.get("study", ""), whole(request.form.get("place"))
    if study in web().shelf.folders and place is not None:
        return redirect(url_for("explore.question", study=study, place=place, **_query(), **said), 303)
    return redirect(url_for("correct.listed", page=whole(request.form.get("page")), **said), 303)


def _query() -> dict[str, Any]:
    """The filters that came along."""
    return {name: some for name in NAMES if (some := [one for one in request.values.getlist(name) if one])}


def _marking(asked: Asked, text: str, start: int | None, problem: str | None = None) -> str:
    earlier = corrections().get(key_of(asked.question, asked.context))
    found = occurrences(asked.context, text) if text.strip() else []
    known = any(at == start for at, _ in found)
    if len(found) > _MOST_PLACES and not known:
        problem = f"These words stand in {len(found):,} places: take in more of those around them."
    places = [
        Place(at, asked.context[max(0, at - _AROUND) : at], text, asked.context[end : end + _AROUND])
        for at, end in (found if 1 < len(found) <= _MOST_PLACES else ())
    ]
    return render_template(
        "correct_mark.html",
        asked=asked,
        pieces=cut(asked.context, asked.golds, ()),
        text=text,
        start=start if known else None,
        places=places,
        earlier=earlier,
        problem=problem,
    )


def _asked() -> Asked:
    """The question that a request names: by its place in a study, by its earlier correction, or by its texts.

    Browsers send every line break of a form as CR LF; a text that was entered has LF alone here. That of a study or an
    earlier correction is read from there, letter by letter.
    """
    study, place = request.values.get("study", ""), whole(request.values.get("place"))
    if study and place is not None:
        return _from_study(study, place)
    if key := request.values.get("key"):
        earlier = corrections().get(key)
        if earlier is None:
            abort(404)
        return Asked(earlier.question, earlier.context, key=key)
    question, context = (_lines(request.values.get(name, "")) for name in ("question", "context"))
    limits = web().settings
    if len(question) > limits.max_question or len(context) > limits.max_document:
        raise Problem(
            413, "Too long", f"At most {limits.max_question} characters of question, {limits.max_document} of context."
        )
    if not question.strip() or not context.strip():
        raise Problem(422, "Not understood", "A correction needs a question and a context.")
    return Asked(question, context)


def _from_study(study: str, place: int) -> Asked:
    if study not in web().shelf.folders:
        abort(404)
    try:
        index = web().shelf.index(study)
    except Unread:
        raise busy("The study's questions are being read.") from None
    except Incomplete as error:
        raise Problem(409, "The study cannot be read", sentence(str(error))) from error
    row = index.row_of(place)
    if row is None:
        abort(404)
    one = index.question(row)
    return Asked(one.question, one.context, study, place, one.golds, _query())


def _as_in(context: str, text: str) -> str:
    """The words as the context has them: with its line breaks, and without spaces around them that it lacks there."""
    text = _lines(text)
    if "\r" in context and text not in context:
        parts = (re.escape(part) for part in text.split("\n"))
        found = re.search(r"(?:\r\n|\r|\n)".join(parts), context)
        text = found[0] if found else text
    return text if text in context else text.strip()


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
