"""The Explore pages: a study's questions with every method's answer. Every view is an address; no script is needed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from spantune.errors import UserError
from spantune.reports.figures.f1_against_cost import COSTS
from spantune.reports.judged_answers import Gone, Incomplete
from spantune.reports.tables.main_table import comparison, csv_cell
from spantune.runs import RunRecord
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.error_kinds import KINDS
from spantune.studies.report import run_folders
from spantune.web.corrections import Change, key_of
from spantune.web.highlight import AnswerMark, cut, in_lanes
from spantune.web.index_cache import Unread
from spantune.web.limits import LONGEST_LINK, pages_of
from spantune.web.question_index import (
    LONGEST_SEARCH,
    ORDERS,
    PER_PAGE,
    WHO,
    IndexedQuestion,
    QuestionFilters,
)
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
"""The files of a study's folder that may be read, with their titles; no other may."""
_FILE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report has inline style and script, and its own policy that lists their digests; the sandbox keeps it away from
this app."""


@PAGES.get("/explore")
def studies() -> ResponseReturnValue:
    """The only study, or a list of them."""
    names = list(web().shelf.folders)
    if len(names) == 1:
        return redirect(url_for("explore.questions", study=names[0]))
    return render_template("explore_studies.html", names=names)


@PAGES.get("/explore/<study>")
def questions(study: str) -> str:
    """The questions that fit, a page of them."""
    index = web().index(study)
    filters = QuestionFilters.read(request.args, index.methods)
    matches = index.find(filters)
    pages = pages_of(len(matches.rows), PER_PAGE, request.args.get("page"))
    rows = matches.rows[pages["first"] - 1 :][:PER_PAGE].tolist()
    return render_template(
        "explore.html",
        study=study,
        index=index,
        filters=filters,
        matches=matches,
        shown=[index.question(row) for row in rows],
        longest_search=LONGEST_SEARCH,
        query=filters.query(),
        who=WHO,
        orders=ORDERS,
        dimensions=DIMENSIONS,
        files=_files(study),
        **pages,
    )


@PAGES.get("/explore/<study>/questions/<int:place>")
def question(study: str, place: int) -> str:
    """One question: the whole context, every answer with its scores, and its neighbours among those that fit."""
    index = web().index(study)
    row = index.row_of(place)
    if row is None:
        abort(404)
    filters = QuestionFilters.read(request.args, index.methods)
    rows = index.find(filters).rows.tolist()
    at = rows.index(row) if row in rows else None
    neighbours = (None, None) if at is None else (rows[at - 1] if at else None, *rows[at + 1 : at + 2], None)
    shown, query = index.question(row), filters.query()
    marks = in_lanes(
        [
            AnswerMark(answer.start, answer.end, answer.method, answer.look)
            for answer in shown.answers
            if answer.start is not None and answer.end is not None
        ]
    )
    ask = _ask_form(shown)
    link = url_for("ask.page", **ask)
    return render_template(
        "explore_question.html",
        ask=ask,
        ask_link=link if len(link) <= LONGEST_LINK else None,
        study=study,
        index=index,
        question=shown,
        pieces=cut(shown.context, shown.golds, marks),
        lanes=max((mark.lane + 1 for mark in marks), default=1),
        at=at,
        count=len(rows),
        neighbours=[None if other is None else index.question(other).place for other in neighbours],
        page=1 if at is None else at // PER_PAGE + 1,
        query=query,
        change=_change(shown),
        undone="undone" in request.args,
        back=[("study", study), ("place", place), *MultiDict(query).items(multi=True)],
        kinds=KINDS,
    )


@PAGES.get("/explore/<study>/overview")
def overview(study: str) -> Response:
    """The study's table, its Pareto plots and its files."""
    problem, table, missing, unread, statistics = None, None, None, False, None
    try:
        statistics = web().index(study).statistics
    except Unread:
        unread = True
    except Incomplete as error:
        missing = str(error)
    try:
        records = [RunRecord.read(folder.path) for folder in run_folders(web().shelf.folders[study])]
        table = comparison(records, statistics)
    except UserError as error:
        problem = error.problem
    page = render_template(
        "explore_overview.html",
        study=study,
        table=table,
        files=_files(study),
        missing=missing,
        unread=unread,
        problem=problem,
    )
    return Response(page, headers={"Refresh": "1"} if unread else None)


@PAGES.get("/explore/<study>/files/<path:name>")
def file(study: str, name: str) -> Response:
    """One of `FILES`; no other name is found."""
    if name not in _files(study):
        abort(404)
    path = web().shelf.folders[study] / name
    if path.suffix == ".csv":
        response = Response(_without_formulas(path), mimetype="text/csv")
        response.add_etag()
        response.make_conditional(request)
    else:
        response = send_file(path, conditional=True)
    response.headers["Content-Security-Policy"] = _FILE_POLICY
    return response


@PAGES.errorhandler(Unread)
@PAGES.errorhandler(Incomplete)
def _no_index(error: Exception) -> Response:
    """The page that says why a study's questions cannot be shown (yet)."""
    study = (request.view_args or {})["study"]
    missing, gone = "" if isinstance(error, Unread) else str(error), isinstance(error, Gone)
    page = render_template("explore_wait.html", study=study, files=_files(study), missing=missing, gone=gone)
    return Response(page, headers=None if missing else {"Refresh": "1"})


def _ask_form(shown: IndexedQuestion) -> dict[str, Any]:
    """The fields of the Ask page's form: the question, and the accepted answers to score with."""
    lines = "\n".join(text for text in shown.accepted if "\n" not in text and "\r" not in text)
    known = {"answers": lines} if lines else {} if shown.golds else {"unanswerable": "1"}
    return {"question": shown.question, "context": shown.context, **known}


def _change(shown: IndexedQuestion) -> Change | None:
    """The last change of its correction, if it was just made; only for those who may read corrections."""
    if "changed" not in request.args or not knows_token():
        return None
    keep_secret()
    return web().corrections.last_change(key_of(shown.question, shown.context))


def _without_formulas(path: Path) -> str:
    """A CSV file for a spreadsheet: an earlier version, or somebody else, may have written it."""
    text = io.StringIO()
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(text, lineterminator="\n").writerows([csv_cell(cell) for cell in row] for row in csv.reader(file))
    return text.getvalue()


def _files(study: str) -> Mapping[str, str]:
    """Those of `FILES` that a study has; 404 if no study has this name.

    A link out of the study's folder is none of its files.
    """
    folder = web().shelf.folders.get(study)
    if folder is None:
        abort(404)
    return {
        name: title
        for name, title in FILES.items()
        if (folder / name).is_file() and (folder / name).resolve().is_relative_to(folder)
    }
