"""The Explore pages: a study's questions with every method's answer. Every view is an address; no script is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from spantune.errors import UserError
from spantune.reports.figures.f1_against_cost import COSTS
from spantune.reports.judged_answers import Gone, Incomplete
from spantune.reports.tables.main_table import Table, comparison
from spantune.runs import RunRecord
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.error_kinds import KINDS
from spantune.scoring.statistics import Comparison
from spantune.studies.report import run_folders
from spantune.web.correct.store import Change, Corrections, key_of
from spantune.web.explore.index_cache import Unread
from spantune.web.explore.question_index import ORDERS, PER_PAGE, WHO, Filters, Found, Index, Question
from spantune.web.highlight import Mark, cut, in_lanes
from spantune.web.limits import LONGEST_LINK, whole
from spantune.web.model_colours import look_of
from spantune.web.security import keep_secret, knows_token
from spantune.web.state import web

PAGES = Blueprint("explore", __name__)
FILES = {
    "report.html": "Report",
    "report.md": "Report as Markdown",
    "table.csv": "Table as CSV",
    "differences.csv": "Differences as CSV",
    "slices.csv": "Kinds of question as CSV",
    "errors.csv": "Kinds of error as CSV",
    **{f"plots/f1_against_{cost.name}.svg": cost.title for cost in COSTS},
}
"""What a study's folder may give out, with its title; nothing else does."""
_FILE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report has its own style and script in it, and a policy of its own that knows them by their digest; in a sandbox it
reaches nothing of this app."""
_LONGEST_SEARCH = 200


@PAGES.get("/explore")
def studies() -> ResponseReturnValue:
    """The only study, or a list of them."""
    names = list(web().shelf.folders)
    if len(names) == 1:
        return redirect(url_for("explore.questions", study=names[0]))
    return render_template("explore_studies.html", names=names)


@PAGES.get("/explore/<study>")
def questions(study: str) -> ResponseReturnValue:
    """The questions that fit, a page of them."""
    index = _index(study)
    if not isinstance(index, Index):
        return index
    filters = _filters(index, request.args)
    found = index.find(filters)
    pages = max(1, math.ceil(len(found.rows) / PER_PAGE))
    page = min(whole(request.args.get("page")) or 1, pages)
    rows = found.rows[(page - 1) * PER_PAGE : page * PER_PAGE].tolist()
    return render_template(
        "explore.html",
        study=study,
        index=index,
        filters=filters,
        found=found,
        shown=[index.question(row) for row in rows],
        page=page,
        pages=pages,
        first=(page - 1) * PER_PAGE + 1,
        longest_search=_LONGEST_SEARCH,
        query=_query(index, filters),
        choices=_choices(index, filters, found),
        looks=[*map(look_of, index.places)],
        files=_there(study),
    )


@PAGES.get("/explore/<study>/questions/<int:place>")
def question(study: str, place: int) -> ResponseReturnValue:
    """One question: the whole context, every answer with its scores, and its neighbours among those that fit."""
    index = _index(study)
    if not isinstance(index, Index):
        return index
    row = index.row_of(place)
    if row is None:
        abort(404)
    filters = _filters(index, request.args)
    rows = index.find(filters).rows.tolist()
    at = rows.index(row) if row in rows else None
    neighbours = [
        index.question(rows[other]).place if at is not None and 0 <= other < len(rows) else None
        for other in ((at or 0) - 1, (at or 0) + 1)
    ]
    one, classes = index.question(row), [*map(look_of, index.places)]
    query = _query(index, filters)
    marks = in_lanes(
        [
            Mark(given.start, given.end, given.method, classes[given.method])
            for given in one.given
            if given.start is not None and given.end is not None
        ]
    )
    ask = _asked_again(one)
    link = url_for("ask.page", **ask)
    return render_template(
        "explore_question.html",
        ask=ask,
        ask_link=link if len(link) <= LONGEST_LINK else None,
        study=study,
        index=index,
        one=one,
        pieces=cut(one.context, one.golds, marks),
        lanes=max((mark.lane + 1 for mark in marks), default=1),
        at=at,
        count=len(rows),
        neighbours=neighbours,
        page=1 if at is None else at // PER_PAGE + 1,
        query=query,
        change=_change(one),
        undone="undone" in request.args,
        back=[("study", study), ("place", place), *MultiDict(query).items(multi=True)],
        looks=classes,
        kinds=KINDS,
    )


@PAGES.get("/explore/<study>/overview")
def overview(study: str) -> Response:
    """The study's table, its Pareto plots and its files."""
    there = _there(study)
    problem, table, missing, unread, index = None, None, None, False, None
    try:
        index = web().shelf.index(study)
    except Unread:
        unread = True
    except Incomplete as error:
        missing = str(error)
    try:
        table = _table(study, index.statistics if index is not None else None)
    except UserError as error:
        problem = error.problem
    plots = {name: title for name, title in there.items() if name.endswith(".svg")}
    named = {"missing": missing, "unread": unread, "problem": problem}
    others = {name: title for name, title in there.items() if name not in plots}
    response = Response(
        render_template("explore_overview.html", study=study, table=table, plots=plots, files=others, **named)
    )
    if unread:
        response.headers["Refresh"] = "1"
    return response


@PAGES.get("/explore/<study>/files/<path:name>")
def file(study: str, name: str) -> Response:
    """One of `FILES`; any other name is not found, whatever it is."""
    if name not in _there(study):
        abort(404)
    response = send_file(web().shelf.folders[study] / name, conditional=True)
    response.headers["Content-Security-Policy"] = _FILE_POLICY
    return response


def _index(study: str) -> Index | Response:
    """The study's index, or the page that says why there is none (yet)."""
    if study not in web().shelf.folders:
        abort(404)
    try:
        return web().shelf.index(study)
    except Unread:
        response = Response(render_template("explore_wait.html", study=study, missing=None))
        response.headers["Refresh"] = "1"
        return response
    except Incomplete as error:
        named = {"missing": str(error), "gone": isinstance(error, Gone)}
        return Response(render_template("explore_wait.html", study=study, files=_there(study), **named))


def _asked_again(one: Question) -> dict[str, Any]:
    """What the Ask page is told: the question, and what is right, so that the answers are scored there, too."""
    lines = "\n".join(text for text in one.accepted if "\n" not in text and "\r" not in text)
    known = {"answers": lines} if lines else {} if one.golds else {"unanswerable": "1"}
    return {"question": one.question, "context": one.context, **known}


def _change(one: Question) -> Change | None:
    """Of its correction, where that was changed just now; for those alone who may read corrections."""
    if "changed" not in request.args or not knows_token():
        return None
    keep_secret()
    return Corrections(web().data_dir).last_change(key_of(one.question, one.context))


def _table(study: str, statistics: Comparison | None) -> Table:
    return comparison([RunRecord.read(one.path) for one in run_folders(web().shelf.folders[study])], statistics)


def _there(study: str) -> Mapping[str, str]:
    """Those of `FILES` that a study has; 404 where no study is called so."""
    folder = web().shelf.folders.get(study)
    if folder is None:
        abort(404)
    return {name: title for name, title in FILES.items() if (folder / name).is_file()}


def _filters(index: Index, given: MultiDict[str, str]) -> Filters:
    """What an address asks for; what it says wrongly is as if it were not said."""
    place = {name: at for at, name in enumerate(index.methods)}
    right, wrong = (
        tuple(dict.fromkeys(place[name] for name in given.getlist(key) if name in place)) for key in ("right", "wrong")
    )
    who, kind, order = given.get("who", "any"), given.get("kind", ""), given.get("order", "telling")
    return Filters(
        who if who in WHO else "any",
        right,
        wrong,
        kind if kind in KINDS else "",
        _slice(given.get("slice", "")),
        given.get("words", "").strip()[:_LONGEST_SEARCH],
        order if order in ORDERS else "telling",
    )


def _slice(text: str) -> tuple[int, int] | None:
    name, _, part = text.partition(": ")
    for at, one in enumerate(DIMENSIONS):
        if one.name == name and part in one.slices:
            return at, one.slices.index(part)
    return None


def _query(index: Index, filters: Filters) -> dict[str, Any]:
    """The filters as an address has them, without those that say nothing."""
    said = {
        "who": filters.who if filters.who != "any" else None,
        "right": [index.methods[at] for at in filters.right],
        "wrong": [index.methods[at] for at in filters.wrong],
        "kind": filters.kind,
        "slice": slice_name(*filters.slice) if filters.slice else None,
        "words": filters.words,
        "order": filters.order if filters.order != "telling" else None,
    }
    return {key: value for key, value in said.items() if value}


def slice_name(dimension: int, part: int) -> str:
    """As it stands in the address."""
    return f"{DIMENSIONS[dimension].name}: {DIMENSIONS[dimension].slices[part]}"


def _choices(index: Index, filters: Filters, found: Found) -> dict[str, Any]:
    """What the form offers: values with their titles."""
    return {
        "who": WHO,
        "order": ORDERS,
        "kind": {name: f"{name} ({count:,})" for name, count in found.kinds.items()},
        "slice": {
            one.name: {
                slice_name(at, part): f"{name} ({found.slices[at][part]:,})" for part, name in enumerate(one.slices)
            }
            for at, one in enumerate(DIMENSIONS)
        },
        "chosen_slice": slice_name(*filters.slice) if filters.slice else "",
    }
