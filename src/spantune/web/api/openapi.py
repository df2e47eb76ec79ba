"""The OpenAPI document of the API, from the models that check its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

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
_OPERATIONS: dict[str, tuple[str, type[BaseModel]]] = {
    "methods": ("The models that answer.", schemas.MethodsResponse),
    "answer": ("One or many questions, answered by every chosen model.", schemas.AnswerResponse),
    "inspect": (
        "Where in the context each model sees the answer begin and end, token by token.",
        schemas.InspectResponse,
    ),
}
"""What each does, and its response; those with a body are POST."""


def document(limits: LimitsConfig, names: Sequence[str]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    bodies = schemas.request_models(limits, tuple(names))
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(body, "validation") for body in bodies.values()]
    models += [(response, "serialization") for _, response in _OPERATIONS.values()]
    _, defined = models_json_schema([*models, (schemas.ProblemDetails, "serialization")], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for name, (summary, response) in _OPERATIONS.items():
        answers: dict[str, Any] = {"200": {"description": summary, "content": _content(response)}}
        for status in _PROBLEMS if name in bodies else (421,):
            answers[str(status)] = {
                "description": _PROBLEMS[status],
                "content": _content(schemas.ProblemDetails, JSON),
                "headers": {"Retry-After": {"schema": {"type": "string"}}} if status in (429, 503) else {},
            }
        operation: dict[str, Any] = {"operationId": name, "summary": summary, "responses": answers}
        if name in bodies:
            operation["requestBody"] = {"required": True, "content": _content(bodies[name])}
        paths[f"/api/{name}"] = {"post" if name in bodies else "get": operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "spantune",
            "version": __version__,
            "description": "Questions to fine-tuned models, side by side. Places count Unicode code points.",
        },
        "paths": paths,
        "components": {"schemas": defined["$defs"]},
    }


def _content(model: type[BaseModel], mimetype: str = "application/json") -> dict[str, Any]:
    return {mimetype: {"schema": {"$ref": _REF.format(model=model.__name__)}}}
