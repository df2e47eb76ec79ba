"""Requests and responses of the API as pydantic models, which check them and make the OpenAPI document's schemas."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from spantune.config import LimitsConfig
from spantune.data.checks.texts import READABLE
from spantune.web.answer_scores import AnswerScore
from spantune.web.limits import MOST_ANSWERS, MOST_N_BEST

_Share = Annotated[float, Field(ge=0, le=1)]
_NBest = Annotated[
    int,
    Field(ge=1, le=MOST_N_BEST, description="Candidates of each answer."),
    # 7.0 is a whole number to JSON Schema.
    BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _OfAttributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class AnswerCandidate(_OfAttributes):
    """A possible answer: `context[start:end] == text`, in code points."""

    text: str
    start: int
    end: int
    probability: _Share


class ModelAnswer(_OfAttributes):
    """One model's answer to one question; `answer` is "" for "no answer"."""

    answer: str = Field(validation_alias="text")
    start: int
    end: int
    probability: _Share
    null_probability: _Share
    n_best: list[AnswerCandidate]
    score: Annotated[AnswerScore | None, BeforeValidator(lambda _: None)] = Field(
        default=None, description="Where accepted answers were sent."
    )


class QuestionAnswers(BaseModel):
    """The answers to one question, by model."""

    id: str
    models: dict[str, ModelAnswer]


class Timing(BaseModel):
    """How long a model computed, and for how many questions: those of other requests may be among them."""

    milliseconds: float = Field(ge=0)
    questions: int = Field(ge=1)


class AnswerResponse(BaseModel):
    """In the order of the questions."""

    answers: list[QuestionAnswers]
    timing: dict[str, Timing]


class TokenShare(BaseModel):
    """A token of the winning window: its characters, and the probability that the answer begins and ends there."""

    text: str
    start: int
    end: int
    begins: float = Field(ge=0, le=1.001)
    ends: float = Field(ge=0, le=1.001)


class WindowShare(_OfAttributes):
    """A window of the context: its characters, its share of the probability, the score of its best span."""

    start: int
    end: int
    share: float
    score: Annotated[float | None, BeforeValidator(lambda score: score if math.isfinite(score) else None)]
    null_score: float


class ModelInside(BaseModel):
    """What one model sees. `won` is the place of the window with the best span, whose tokens these are."""

    tokens: list[TokenShare]
    windows: list[WindowShare]
    won: int
    null_probability: float


class InspectResponse(BaseModel):
    """By model."""

    models: dict[str, ModelInside]


class ModelEntry(BaseModel):
    """A model that answers. `em`, `f1`: 0 to 100, on the set that its run was scored on."""

    name: str
    label: str
    method: str | None
    encoder: str | None
    seed: int | None
    squad_v2: bool
    trainable_parameters: int | None
    em: float | None
    f1: float | None


class BrokenModel(BaseModel):
    """A model that was named and cannot answer."""

    name: str
    label: str
    reason: str


class MethodsResponse(BaseModel):
    """The models that answer, in the order of their colours, and those that cannot."""

    models: list[ModelEntry]
    ready: bool
    broken: list[BrokenModel]


class Mistake(BaseModel):
    """One of the mistakes in a request."""

    where: str
    problem: str


class ProblemDetails(BaseModel):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Mistake] = Field(default_factory=list)


@cache
def request_models(limits: LimitsConfig, names: tuple[str, ...]) -> dict[str, type[BaseModel]]:
    """The bodies of `POST /api/answer` and `POST /api/inspect` by operation, under the limits of some settings."""
    asked: dict[str, Any] = {
        "question": (_text(limits.max_question, "The question."), ...),
        "context": (_text(limits.max_context, "The text that answers it."), ...),
    }
    gold = Annotated[str, Field(max_length=limits.max_context)]
    identifier: Any = Annotated[str | None, Field(max_length=200, description="Comes back; default: its place.")]
    about = "Accepted answers, [] where none is right: the answers are scored."
    question: Any = create_model(
        "Question",
        __base__=_Strict,
        __doc__="A question on a context.",
        **asked,
        answers=(Annotated[list[gold] | None, Field(description=about, max_length=MOST_ANSWERS)], None),
        id=(identifier, None),
    )
    name = Annotated[str, Field(json_schema_extra={"enum": list(names)} if names else None)]
    chosen: Any = Annotated[list[name] | None, Field(description="Names of models; default: all.", min_length=1)]
    answer = create_model(
        "AnswerRequest",
        __base__=_Strict,
        __doc__="One or many questions.",
        questions=(Annotated[list[question], Field(min_length=1, max_length=limits.max_questions)], ...),
        models=(chosen, None),
        n_best=(_NBest, 5),
    )
    inspect = create_model(
        "InspectRequest", __base__=_Strict, __doc__="One question on one context.", **asked, models=(chosen, None)
    )
    return {"answer": answer, "inspect": inspect}


def _text(longest: int, about: str) -> Any:
    description = f"{about} Some text; more than white space."
    return Annotated[str, Field(min_length=1, max_length=longest, pattern=READABLE, description=description)]
