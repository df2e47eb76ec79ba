"""The JSON API; errors are problem details."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Response, json, render_template, request
from pydantic import BaseModel, ValidationError

from spantune.data import Example
from spantune.web.admission import admit, client_gone
from spantune.web.api import schemas as given
from spantune.web.api.openapi import document
from spantune.web.ask.answers_view import judged
from spantune.web.limits import API_BYTES
from spantune.web.problem_details import Problem
from spantune.web.served_models import Model
from spantune.web.state import Web, web

if TYPE_CHECKING:
    from spantune.answering.span_collector import Prediction
    from spantune.answering.token_probabilities import Inside

API = Blueprint("api", __name__)
Read = TypeVar("Read", bound=BaseModel)
_EMPTY = ("string_too_short", "string_pattern_mismatch")
"""What pydantic calls a text without a letter, which is the only thing that our schemas ask of a text's letters."""


@API.get("/api")
def page() -> str:
    """The API for people."""
    shared = web()
    return render_template("api.html", document=document(shared.settings, shared.names), models=shared.models)


@API.get("/api/openapi.json")
def openapi() -> Response:
    """The API for programs, OpenAPI 3.1."""
    shared = web()
    return _json(document(shared.settings, shared.names))


@API.get("/api/methods")
def methods() -> Response:
    """What answers."""
    shared = web()
    return _json(given.MethodsResponse(models=[_entry(one) for one in shared.models], ready=shared.answerer.ready))


@API.post("/api/answer")
def answer() -> Response:
    """One or many questions."""
    shared = web()
    asked: Any = _read(given.schemas(shared.settings, shared.names).answer)
    examples = [Example(str(at), one.question, one.context) for at, one in enumerate(asked.questions)]
    models = _chosen(shared, asked.models)
    admit(examples)
    found = shared.answerer.ask(examples, [one.name for one in models], gone=client_gone())
    answers = [
        given.QuestionAnswers(
            id=str(at) if question.id is None else question.id,
            models={
                one.name: _answer(found[one.name].predictions[at], one, question.answers, asked.n_best)
                for one in models
            },
        )
        for at, question in enumerate(asked.questions)
    ]
    timing = {
        one.name: given.Timing(milliseconds=found[one.name].milliseconds, questions=found[one.name].together)
        for one in models
    }
    return _json(given.AnswerResponse(answers=answers, timing=timing))


@API.post("/api/inspect")
def inspect() -> Response:
    """One question, token by token."""
    shared = web()
    asked: Any = _read(given.schemas(shared.settings, shared.names).inspect)
    models = _chosen(shared, asked.models)
    example = Example("0", asked.question, asked.context)
    admit([example])
    found = shared.answerer.ask([example], [one.name for one in models], inside=True, gone=client_gone())
    seen = {one.name: inside for one in models if (inside := found[one.name].inside) is not None}
    return _json(given.InspectResponse(models={name: _inside(asked.context, one) for name, one in seen.items()}))


def _read(kind: type[Read]) -> Read:
    """The body of the request.

    Raises:
        Problem: 413 too large, 415 not JSON, 422 not what is asked for.
    """
    if request.mimetype != "application/json":
        raise Problem(415, "Unsupported Media Type", "Send JSON, with Content-Type: application/json.")
    request.max_content_length = API_BYTES
    try:
        return kind.model_validate_json(request.get_data())
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        errors = [
            {"where": _where(one["loc"]), "problem": "is empty" if one["type"] in _EMPTY else str(one["msg"])}
            for one in found[:20]
        ]
        said = "; ".join(f"{one['where']}: {one['problem']}" for one in errors[:3])
        raise Problem(422, "Not understood", said, errors=errors) from error


def _where(location: Sequence[int | str]) -> str:
    """`questions[2].context`; `body` for all of it."""
    parts = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in location)
    return parts.removeprefix(".") or "body"


def _chosen(shared: Web, names: Sequence[str] | None) -> list[Model]:
    known = shared.names
    unknown = [one for one in names or () if one not in known]
    if unknown:
        detail = f"There is no model {unknown[0]!r}; known: {', '.join(known)}."
        raise Problem(422, "Not understood", detail, errors=[{"where": "models", "problem": detail}])
    return [one for one in shared.models if names is None or one.name in names]


def _answer(prediction: Prediction, model: Model, golds: list[str] | None, n_best: int) -> given.ModelAnswer:
    found = judged(prediction.text, golds, squad_v2=model.squad_v2)
    score = None
    if found is not None:
        score = given.Score(em=found.em, f1=found.f1, missed=list(found.missed), added=list(found.added))
    candidates = [
        given.Candidate(text=one.text, start=one.start, end=one.end, probability=one.probability)
        for one in prediction.n_best[:n_best]
    ]
    return given.ModelAnswer(
        answer=prediction.text,
        start=prediction.start,
        end=prediction.end,
        probability=prediction.probability,
        null_probability=prediction.null_probability,
        n_best=candidates,
        score=score,
    )


def _inside(context: str, inside: Inside) -> given.ModelInside:
    rows = zip(inside.spans.tolist(), inside.starts.tolist(), inside.ends.tolist(), strict=True)
    tokens = [
        given.Token(text=context[start:end], start=start, end=end, begins=begins, ends=ends)
        for (start, end), begins, ends in rows
    ]
    windows = [
        given.Window(
            start=one.start,
            end=one.end,
            share=one.share,
            score=one.score if math.isfinite(one.score) else None,
            null_score=one.null_score,
        )
        for one in inside.windows
    ]
    return given.ModelInside(
        tokens=tokens, windows=windows, won=inside.won, null_probability=inside.null_probability
    )  # fmt: skip


def _entry(model: Model) -> given.ModelEntry:
    record = model.record
    return given.ModelEntry(
        name=model.name,
        label=model.label,
        method=record.method if record else None,
        encoder=record.model if record else None,
        seed=record.seed if record else None,
        squad_v2=model.squad_v2,
        trainable_parameters=record.parameters.trainable if record and record.parameters else None,
        em=record.metric("em") if record else None,
        f1=record.metric("f1") if record else None,
    )


def _json(content: BaseModel | dict[str, Any]) -> Response:
    if isinstance(content, BaseModel):
        return Response(content.model_dump_json(), mimetype="application/json")
    return Response(json.dumps(content), mimetype="application/json")
