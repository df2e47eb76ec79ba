"""JSON content as the dataclass that describes it, checked value by value: records and manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Mismatch(Exception):
    """Content that is not what the dataclass says.

    Attributes:
        key: the place of the first wrong value, `data.train.examples`. keys: the places of all.
        expected: instead of the first. found: its value; None where it is missing.
    """

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        self.keys = [".".join(map(str, error["loc"])) for error in errors]
        self.key = self.keys[0]
        self.expected = errors[0]["msg"].removeprefix("Input should be ")
        self.found = None if errors[0]["type"] == "missing" else repr(errors[0]["input"])[:80]
        wrong = "missing" if self.found is None else f"expected {self.expected}, found {self.found}"
        super().__init__(f"{self.key}: {wrong}")


def parsed(kind: type[T], content: Mapping[str, Any]) -> T:
    """The dataclass `kind` with these values; unknown keys are left out at every level, no text becomes a number.

    Raises:
        Mismatch: a key without a default is missing, or a value has the wrong type.
    """
    from pydantic import ValidationError

    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(json.dumps(content, default=str), strict=True))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise Mismatch(sorted(errors, key=lambda one: one["type"] != "missing")) from None


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter  # as late as this: help and completion do without it

    return TypeAdapter(kind)
