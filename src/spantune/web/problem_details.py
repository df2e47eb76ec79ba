"""Errors as problem details (RFC 9457) for programs, and as a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, json, render_template, request
from werkzeug.exceptions import HTTPException

from spantune.errors import DataError, UserError
from spantune.reports.judged_answers import Incomplete
from spantune.web.index_cache import Unread

JSON = "application/problem+json"


def sentence(text: str) -> str:
    """A message as a page says it: `No such file.` for `no such file`."""
    return f"{text[:1].upper()}{text[1:]}."


def detail_of(error: UserError) -> str:
    """The four parts of a message as sentences: what is wrong, expected and found, and how to fix it."""
    parts = (("Expected: ", error.expected), ("Found: ", error.found), ("", error.fix))
    return " ".join([sentence(error.problem), *(sentence(f"{label}{text}") for label, text in parts if text)])


def reason_of(error: Exception) -> str:
    """Why a model cannot answer, in one line; a file by its name, since everybody may read it."""
    if not isinstance(error, UserError):
        return " ".join(f"{type(error).__name__}: {error}".split())
    where = f"{Path(error.where).name}: " if error.where else ""
    return " ".join(f"{where}{detail_of(error)}".split())


@dataclass(eq=False)
class Problem(Exception):
    """What went wrong with a request.

    Attributes:
        status: of HTTP. title: the kind of problem. detail: this case of it.
        errors: single mistakes, each with `where` and `problem`. headers: for the response.
        link: label and address of what a page offers instead.
    """

    status: int
    title: str
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    link: tuple[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        """The members of RFC 9457, and `errors`."""
        errors = {"errors": self.errors} if self.errors else {}
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail, **errors}


def busy(detail: str, seconds: int = 1) -> Problem:
    """503, to be tried again after some seconds."""
    return Problem(503, "Busy", detail, headers={"Retry-After": str(seconds)})


def too_many(seconds: int, per_minute: int, what: str = "questions") -> Problem:
    """429: the client is above its limit."""
    detail = f"At most {per_minute} {what} a minute from one client; try again in {seconds} s."
    return Problem(429, f"Too many {what}", detail, headers={"Retry-After": str(seconds)})


def wants_json() -> bool:
    """Whether the client is a program: it calls the API, or accepts JSON and no HTML."""
    accepted = request.accept_mimetypes
    return request.path.startswith("/api/") or (accepted.accept_json and not accepted.accept_html)


def explain_errors(app: Flask) -> None:
    """Turn every error into a problem or a page; an unexpected one is logged and not shown."""
    app.register_error_handler(Exception, _respond)


def _respond(error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else _problem_of(error)
    if wants_json():
        response = Response(json.dumps(problem.as_json()), problem.status, mimetype=JSON)
    else:
        response = Response(render_template("problem.html", problem=problem), problem.status)
    response.headers.update(problem.headers)
    return response


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, DataError):
        return Problem(422, "Not understood", detail_of(error))
    if isinstance(error, Unread):
        return busy("The study's questions are being read.")
    if isinstance(error, Incomplete):
        return Problem(409, "The study cannot be read", sentence(str(error)))
    if isinstance(error, HTTPException):
        status = error.code or 500
        headers = {key: value for key, value in error.get_headers() if key in ("Allow", "Retry-After")}
        detail = "It has more than a request may hold." if status == 413 else error.description or error.name
        return Problem(status, error.name, detail, headers=headers)
    if isinstance(error, UserError):  # for the server's operator to fix, such as a missing folder
        current_app.logger.error("%s %r: %s", request.method, request.path, error)
        return Problem(500, "Something failed here", sentence(error.problem))
    current_app.logger.error("unforeseen: %s %r", request.method, request.path, exc_info=error)
    return Problem(500, "Something failed here", "It was written into the server's log.")
