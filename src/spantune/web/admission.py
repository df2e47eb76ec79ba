"""Which questions are let in: by their size, and by how much their client has asked already; who still waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import request, url_for

from spantune.data import Example
from spantune.web.problem_details import Problem, too_many
from spantune.web.state import web

_CHARACTERS = 5_000
"""A context counts as one question for each of these: reading it is what takes time."""


def admit(examples: Sequence[Example], *, longest: int | None = None) -> None:
    """Let some questions of this request in.

    Args:
        longest: characters of a context; default: as the settings say.

    Raises:
        Problem: 422 where one is empty or too long, or there are too many; 429 where the client asked too much.
    """
    settings = web().settings
    most = longest or settings.max_context
    errors = []
    if len(examples) > settings.max_questions:
        errors.append({"where": "questions", "problem": f"at most {settings.max_questions}, found {len(examples)}"})
    for number, one in enumerate(examples):
        for name, text, limit in (("question", one.question, settings.max_question), ("context", one.context, most)):
            where = name if len(examples) == 1 else f"questions[{number}].{name}"
            if not text.strip():
                errors.append({"where": where, "problem": "is empty"})
            elif len(text) > limit:
                said = f"is too long: at most {limit:,} characters, found {len(text):,}"
                errors.append({"where": where, "problem": said})
    if errors:
        detail = " ".join(f"{_named(one['where'])} {one['problem']}." for one in errors[:3])
        # Documents takes what is too long for a context.
        longer = any(most < len(one.context) <= settings.max_document for one in examples)
        link = ("Ask it on Documents", url_for("documents.page")) if longer else None
        raise Problem(422, "Not a question that can be answered", detail, errors=errors[:20], link=link)
    charge(sum(max(1, len(one.context) // _CHARACTERS) for one in examples))


def _named(where: str) -> str:
    return f"The {where}" if where.isalpha() else where


def client_gone() -> Callable[[], bool]:
    """Tells whether the client of this request has gone; it never has under a server that does not say so."""
    found: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
    return found


def charge(questions: int) -> None:
    """Count questions on the client's account; Problem 429 where there are too many."""
    buckets = web().buckets
    seconds = buckets.take(request.remote_addr or "", questions)
    if seconds:
        raise too_many(seconds, buckets.per_minute)
