"""Converts what a user writes, on the command line or in YAML, to a field's type, or says what it expects."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from spantune.errors import nearest

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "nothing (null)"}
_KINDS = {**_WORDS, list: "a list", dict: "a mapping"}
_METAVARS = {int: "INT", float: "FLOAT", str: "TEXT"}


class Mistyped(ValueError):
    """A value does not fit its field; the message says what is expected and what is found."""


def from_words(words: list[str], hint: Any) -> Any:
    """The value that a flag's words give; `none` unsets an optional setting."""
    shown = " ".join(words)
    if takes_many(hint):
        return _validated(words, hint, strict=False, found=repr(shown))
    if len(words) != 1:
        raise Mistyped(f"expected {expected(hint)}, found {len(words)} values: {shown}")
    if shown.lower() in ("none", "null") and type(None) in _members(hint):
        return None
    return _validated(shown, hint, strict=False, found=repr(shown))


def from_yaml(value: Any, hint: Any) -> Any:
    """The value of a YAML entry. Types are strict (text is no number), but a single value is accepted for a list."""
    shown = "null" if value is None else f"{value!r} ({_KINDS.get(type(value), type(value).__name__)})"
    if takes_many(hint) and value is not None:
        value = tuple(value) if isinstance(value, list) else (value,)
    return _validated(value, hint, strict=True, found=shown)


def takes_many(hint: Any) -> bool:
    """Whether the field is a tuple."""
    return typing.get_origin(hint) is tuple


def metavar(hint: Any) -> str:
    """The placeholder in the help: `INT`, `{auto,cpu,cuda,mps}`, `TEXT ...`."""
    if takes_many(hint):
        return f"{metavar(typing.get_args(hint)[0])} ..."
    if choices := _choices(hint):
        return "{" + ",".join(choices) + "}"
    return "|".join(_METAVARS[member] for member in _members(hint) if member is not type(None))


def expected(hint: Any) -> str:
    """The values that a field accepts, in words."""
    if takes_many(hint):
        return f"a list of values, each {expected(typing.get_args(hint)[0])}"
    if choices := _choices(hint):
        return "one of " + ", ".join(choices)
    return " or ".join(_WORDS[member] for member in _members(hint))


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _choices(hint: Any) -> tuple[str, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _validated(value: Any, hint: Any, *, strict: bool, found: str) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    try:
        return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False)).validate_python(value, strict=strict)
    except ValidationError:
        match = nearest(str(value), _choices(hint))
        hint_text = f", did you mean {match}?" if match else ""
        raise Mistyped(f"expected {expected(hint)}, found {found}{hint_text}") from None
