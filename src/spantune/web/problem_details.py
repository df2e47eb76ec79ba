"""Errors as problem details (RFC 9457) for programs, and as a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, json, render_template, request
from werkzeug.exceptions import HTTPException

from spantune.errors import DataError, UserError

JSON = "application/problem+json"


def sentence(text: str) -> str:
    """A message as a page says it: `No such file.` for `no such file`."""
    return f"{text[:1].upper()}{text[1:]}."


def detail_of(error: UserError) -> str:
    """What is wrong with what was sent, what was expected, what stands there instead, and the remedy."""
    told = (("Expected: ", error.expected), ("Found: ", error.found), ("", error.fix))
    return " ".join([sentence(error.problem), *(sentence(f"{before}{text}") for before, text in told if text)])


class Problem(Exception):
    """What went wrong with a request.

    Args:
        status: of HTTP. title: the kind, the same for every such problem. detail: what it was this time.
        errors: single mistakes, each with `where` and `problem`. headers: for the response.
        link: what a page offers instead, and its address.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        link: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.errors, self.headers, self.link = tuple(errors), dict(headers or {}), link

    def as_json(self) -> dict[str, Any]:
        """The members of RFC 9457; `errors` is our own."""
        found: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        found["detail"] = self.detail
        return found | ({"errors": [dict(one) for one in self.errors]} if self.errors else {})


def busy(detail: str, seconds: int = 1) -> Problem:
    """503: come back after so many seconds."""
    return Problem(503, "Busy", detail, headers={"Retry-After": str(seconds)})


def too_many(seconds: int, per_minute: int) -> Problem:
    """429: this client asked more than its share."""
    detail = f"At most {per_minute} questions a minute from one client; try again in {seconds} s."
    return Problem(429, "Too many questions", detail, headers={"Retry-After": str(seconds)})


def wants_json() -> bool:
    """Whether a program asks: everything below /api/, and who prefers JSON to HTML."""
    if request.path.startswith("/api/"):
        return True
    accepted = request.accept_mimetypes
    return not accepted.accept_html and accepted.accept_json


def explain_errors(app: Flask) -> None:
    """Turn every error into a problem or a page; what nobody foresaw is logged and says nothing of itself."""
    app.register_error_handler(Problem, _respond)
    app.register_error_handler(DataError, _of_data)
    app.register_error_handler(UserError, _of_operator)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unforeseen)


def _respond(problem: Problem) -> Response:
    if wants_json():
        response = Response(json.dumps(problem.as_json()), problem.status, mimetype=JSON)
    else:
        response = Response(render_template("problem.html", problem=problem), problem.status)
    response.headers.update(problem.headers)
    return response


def _of_data(error: DataError) -> Response:
    return _respond(Problem(422, "Not understood", detail_of(error)))


def _of_operator(error: UserError) -> Response:
    """What whoever runs the server has to mend: a folder or a file of his, not the request."""
    current_app.logger.error("%s %s: %s", request.method, request.path, error)
    return _respond(Problem(500, "Something failed here", sentence(error.problem)))


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    headers = {key: value for key, value in error.get_headers() if key in ("Allow", "Retry-After")}
    title = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    detail = "It has more than a request may hold." if status == 413 else error.description or title
    return _respond(Problem(status, title, detail, headers=headers))


def _unforeseen(error: Exception) -> Response:
    current_app.logger.error("unforeseen: %s %s", request.method, request.path, exc_info=error)
    return _respond(Problem(500, "Something failed here", "It was written into the server's log."))
