"""Turns what a user wrote, on the command line or in YAML, into a field's type, or says what was expected and found."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from spantune.errors import nearest

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "nothing (null)"}
_KINDS = {**_WORDS, list: "a list", dict: "a mapping"}
_METAVARS = {int: "INT", float: "FLOAT", str: "TEXT"}


class Mistyped(ValueError):
    """A value does not fit its field; the message says what was expected and what was found."""


def from_words(words: list[str], hint: Any) -> Any:
    """The value of a flag's words. A flag that takes one value gets one word; `none` unsets what may be unset."""
    value: Any = tuple(words)
    if not takes_many(hint):
        if len(words) != 1:
            raise Mistyped(f"expected {expected(hint)}, found {len(words)} values: {' '.join(words)}")
        (value,) = words
        if value.lower() in ("none", "null") and type(None) in _members(hint):
            return None
    elif len(words) == 1 and not _only_tuples(hint):
        value = words[0]  # `str | tuple[str, ...]`: one word is the plain member
    return _fit(value, hint, strict=False, shown=" ".join(words))


def from_yaml(value: Any, hint: Any) -> Any:
    """The value of a YAML entry. Types are kept strictly (no text for numbers), but one value may stand for a list."""
    if takes_many(hint):
        if isinstance(value, list):
            value = tuple(value)
        elif value is not None and _only_tuples(hint):
            value = (value,)
    return _fit(value, hint, strict=True, shown=value)


def takes_many(hint: Any) -> bool:
    """Whether the field is a tuple (or may be one)."""
    return any(typing.get_origin(member) is tuple for member in _members(hint))


def _only_tuples(hint: Any) -> bool:
    return all(typing.get_origin(member) is tuple for member in _members(hint) if member is not type(None))


def metavar(hint: Any) -> str:
    """The placeholder in the help: `INT`, `{auto,cpu,cuda,mps}`, `TEXT ...`."""
    shown = []
    for member in _members(hint):
        if typing.get_origin(member) is tuple:
            shown.append(f"{metavar(typing.get_args(member)[0])} ...")
        elif typing.get_origin(member) is Literal:
            shown.append("{" + ",".join(map(str, typing.get_args(member))) + "}")
        elif member is not type(None):
            shown.append(_METAVARS.get(member, "VALUE"))
    return "|".join(shown)


def expected(hint: Any) -> str:
    """What a field takes, in words."""
    return " or ".join(_word(member) for member in _members(hint))


def _word(member: Any) -> str:
    if typing.get_origin(member) is tuple:
        return f"a list of values, each {expected(typing.get_args(member)[0])}"
    if typing.get_origin(member) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(member)))
    return _WORDS.get(member, getattr(member, "__name__", str(member)))


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _fit(value: Any, hint: Any, *, strict: bool, shown: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    try:
        return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False)).validate_python(value, strict=strict)
    except ValidationError:
        raise Mistyped(f"expected {expected(hint)}, found {_seen(shown, strict)}{_meant(shown, hint)}") from None


def _seen(value: Any, with_kind: bool) -> str:
    if value is None:
        return "null"
    value = list(value) if isinstance(value, tuple) else value
    return f"{value!r} ({_KINDS.get(type(value), type(value).__name__)})" if with_kind else repr(value)


def _meant(found: Any, hint: Any) -> str:
    choices = [
        str(one) for member in _members(hint) if typing.get_origin(member) is Literal for one in typing.get_args(member)
    ]
    match = nearest(str(found), choices)
    return f", did you mean {match}?" if match else ""
