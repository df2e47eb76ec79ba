"""The JSON API; errors are problem details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, json, render_template, request
from pydantic import BaseModel, ValidationError

from spantune.data import Example
from spantune.web.admission import ask
from spantune.web.answer_scores import score_answer
from spantune.web.api import schemas
from spantune.web.api.openapi import document
from spantune.web.limits import API_BYTES
from spantune.web.models import Model
from spantune.web.problem_details import Problem
from spantune.web.state import web

if TYPE_CHECKING:
    from spantune.answering.token_probabilities import Inside
    from spantune.data.prediction import Prediction

API = Blueprint("api", __name__)
_EMPTY = ("string_too_short", "string_pattern_mismatch")
"""What pydantic calls a text that is empty or only white space."""


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
    """The models that answer."""
    shared = web()
    return _json(
        schemas.MethodsResponse(
            models=[_entry(model) for model in shared.models],
            ready=shared.answerer.ready,
            broken=[
                schemas.BrokenModel(name=model.name, label=model.label, reason=reason)
                for model, reason in shared.broken
            ],
        )
    )


@API.post("/api/answer")
def answer() -> Response:
    """One or many questions."""
    asked = _read("answer")
    examples = [Example(str(at), question.question, question.context) for at, question in enumerate(asked.questions)]
    models = _chosen(asked.models)
    answers = ask(examples, [model.name for model in models])
    by_question = [
        schemas.QuestionAnswers(
            id=str(at) if question.id is None else question.id,
            models={
                model.name: _answer(answers[model.name].predictions[at], model, question.answers, asked.n_best)
                for model in models
            },
        )
        for at, question in enumerate(asked.questions)
    ]
    timing = {
        name: schemas.Timing(milliseconds=of_model.milliseconds, questions=of_model.together)
        for name, of_model in answers.items()
    }
    return _json(schemas.AnswerResponse(answers=by_question, timing=timing))


@API.post("/api/inspect")
def inspect() -> Response:
    """One question, token by token."""
    asked = _read("inspect")
    names = [model.name for model in _chosen(asked.models)]
    answers = ask([Example("0", asked.question, asked.context)], names, inside=True)
    seen = {name: inside for name in names if (inside := answers[name].inside) is not None}
    return _json(
        schemas.InspectResponse(models={name: _inside(asked.context, inside) for name, inside in seen.items()})
    )


def _read(operation: str) -> Any:
    """The body of the request; Problem 413 if it is too large, 415 if it is not JSON, 422 if it is wrong."""
    if request.mimetype != "application/json":
        raise Problem(415, "Unsupported Media Type", "Send JSON, with Content-Type: application/json.")
    request.max_content_length = API_BYTES
    model = schemas.request_models(web().settings, web().names)[operation]
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        errors = [
            {"where": _where(item["loc"]), "problem": "is empty" if item["type"] in _EMPTY else item["msg"]}
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:20]
        ]
        detail = "; ".join(f"{item['where']}: {item['problem']}" for item in errors[:3])
        raise Problem(422, "Not understood", detail, errors=errors) from error


def _where(location: Sequence[int | str]) -> str:
    """`questions[2].context`; `body` for all of it."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return parts.removeprefix(".") or "body"


def _chosen(names: Sequence[str] | None) -> list[Model]:
    shared = web()
    unknown = [name for name in names or () if name not in shared.names]
    if unknown:
        reason = shared.answerer.broken.get(unknown[0])
        known = f"known: {', '.join(shared.names)}."
        detail = f"There is no model {unknown[0]!r}; {known}"
        if reason is not None:
            detail = f"The model {unknown[0]!r} cannot answer: {reason}"
        raise Problem(422, "Not understood", detail, errors=[{"where": "models", "problem": detail}])
    return [model for model in shared.models if names is None or model.name in names]


def _answer(prediction: Prediction, model: Model, golds: list[str] | None, n_best: int) -> schemas.ModelAnswer:
    answer = schemas.ModelAnswer.model_validate(prediction)
    answer.n_best = answer.n_best[:n_best]
    answer.score = score_answer(prediction.text, golds, squad_v2=model.squad_v2, language=model.language)
    return answer


def _inside(context: str, inside: Inside) -> schemas.ModelInside:
    rows = zip(inside.spans.tolist(), inside.starts.tolist(), inside.ends.tolist(), strict=True)
    return schemas.ModelInside(
        tokens=[
            schemas.TokenShare(text=context[start:end], start=start, end=end, begins=begins, ends=ends)
            for (start, end), begins, ends in rows
        ],
        windows=list(map(schemas.WindowShare.model_validate, inside.windows)),
        won=inside.won,
        null_probability=inside.null_probability,
    )


def _entry(model: Model) -> schemas.ModelEntry:
    record = model.record
    return schemas.ModelEntry(
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
    text = content.model_dump_json() if isinstance(content, BaseModel) else json.dumps(content)
    return Response(text, mimetype="application/json")
