"""JSON content as the dataclasses that describe it, checked value by value: the records of runs and of studies."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")


class Mismatch(Exception):
    """A value that is not there, or of another type.

    Attributes:
        key: its place, `data.train.examples`. expected: the type by its name. found: the value; None where it lacks.
    """

    def __init__(self, key: str, expected: str, found: str | None) -> None:
        self.key, self.expected, self.found = key, expected, found
        super().__init__(f"{key}: {'missing' if found is None else f'expected {expected}, found {found}'}")


def typed(content: Mapping[str, Any], kind: type[T]) -> T:
    """The dataclass `kind` with these values; unknown keys are left out at every level, nothing is converted.

    Raises:
        Mismatch: a key without a default lacks, or a value has the wrong type.
    """
    return cast(T, _dataclass(content, kind, ""))


def _dataclass(value: Mapping[str, Any], kind: Any, key: str) -> Any:
    hints = _hints(kind)
    prefix = f"{key}." if key else ""
    for one in fields(kind):
        if one.name not in value and one.default is MISSING and one.default_factory is MISSING:
            raise Mismatch(prefix + one.name, _name(hints[one.name]), None)
    known = {one.name: value[one.name] for one in fields(kind) if one.name in value}
    return kind(**{name: _value(inner, hints[name], prefix + name) for name, inner in known.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(value: Any, hint: Any, key: str) -> Any:
    """A value as the annotated type: dataclass, union, tuple, mapping, literal or scalar."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint) and isinstance(value, Mapping):
        return _dataclass(value, hint, key)
    if origin in (typing.Union, types.UnionType):
        return _value(value, next((one for one in inner if _fits(value, one)), inner[0]), key)
    if not _fits(value, hint):
        raise Mismatch(key, _name(hint), repr(value)[:80])
    if origin is tuple:
        return tuple(_value(one, inner[0], f"{key}.{index}") for index, one in enumerate(value))
    if origin is Mapping:
        return {name: _value(one, inner[1], f"{key}.{name}") for name, one in value.items()}
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether the outermost layer of a JSON value is what the annotation wants."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if hint is type(None):
        return value is None
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin is tuple:
        return isinstance(value, list)
    if origin is Mapping or is_dataclass(hint):
        return isinstance(value, Mapping)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _name(hint: Any) -> str:
    bare = isinstance(hint, type) and not typing.get_args(hint)
    return hint.__name__ if bare else str(hint).replace("typing.", "")
