"""The OpenAPI document of the API, from the models that check its requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from spantune import __version__
from spantune.config import LimitsConfig
from spantune.web.api import schemas
from spantune.web.problem_details import JSON

_REF = "#/components/schemas/{model}"
_PROBLEMS = {
    400: "The request cannot be read.",
    403: "It was sent by a page of another site.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The server is not called by this name.",
    422: "The body is not what is asked for, or above a limit; `errors` lists what is wrong.",
    429: "This client asked too much; Retry-After says how long to wait.",
    500: "Something failed in the server.",
    503: "The models are being loaded, or the queue is full; Retry-After says how long to wait.",
}


def document(limits: LimitsConfig, names: Sequence[str]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    requests = schemas.schemas(limits, tuple(names))
    responses = (schemas.AnswerResponse, schemas.InspectResponse, schemas.MethodsResponse, schemas.ProblemDetails)
    _, defined = models_json_schema(
        [
            *((model, "validation") for model in (requests.answer, requests.inspect)),
            *((model, "serialization") for model in responses),
        ],
        ref_template=_REF,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "spantune",
            "version": __version__,
            "description": "Questions to fine-tuned models, side by side. Places count Unicode code points.",
        },
        "paths": {
            "/api/methods": {"get": _operation("methods", "The models that answer.", schemas.MethodsResponse, (421,))},
            "/api/answer": {
                "post": _operation(
                    "answer",
                    "One or many questions, answered by every chosen model.",
                    schemas.AnswerResponse,
                    tuple(_PROBLEMS),
                    body=requests.answer,
                )
            },
            "/api/inspect": {
                "post": _operation(
                    "inspect",
                    "Where in the context each model sees the answer begin and end, token by token.",
                    schemas.InspectResponse,
                    tuple(_PROBLEMS),
                    body=requests.inspect,
                )
            },
        },
        "components": {"schemas": defined["$defs"]},
    }


def _operation(
    name: str, summary: str, answer: type[BaseModel], problems: Sequence[int], body: type[BaseModel] | None = None
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": summary, **_content(answer, "application/json")}}
    for status in problems:
        headers = {"Retry-After": {"schema": {"type": "string"}}} if status in (429, 503) else {}
        responses[str(status)] = {
            "description": _PROBLEMS[status],
            **_content(schemas.ProblemDetails, JSON),
            **({"headers": headers} if headers else {}),
        }
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": True, **_content(body, "application/json")}
    return operation


def _content(model: type[BaseModel], mimetype: str) -> Mapping[str, Any]:
    return {"content": {mimetype: {"schema": {"$ref": _REF.format(model=model.__name__)}}}}
