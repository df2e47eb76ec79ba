"""Reads the dataclasses: each field becomes one `Setting`, from which flag, YAML key, help and type derive.

Two conventions: a configuration with a field `options` takes the options of methods, and its field `method` or
`methods` says of which. Field metadata: `positional` (stands without a flag), `metavar`, `hidden` (not settable),
`one_way` (a switch that nothing needs to switch back).
"""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from typing import Any

OPTIONS = "options"


class HasOptions(typing.Protocol):
    """What the command line reads of a method (`spantune.methods.Method`)."""

    @property
    def summary(self) -> str: ...

    @property
    def options(self) -> type[Any]: ...

    def resolve(self, given: Mapping[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Setting:
    """One thing that a user can set.

    Attributes:
        name: the field's name; `hint`: its type; `default`: its value when nothing sets it.
        group: title in the help ("data", "lora"); empty for the command's own settings.
        about: what the group is for.
        method: the method whose option this is, or None.
    """

    name: str
    hint: Any
    default: Any
    help: str
    group: str
    about: str
    method: str | None = None
    positional: bool = False
    one_way: bool = False
    metavar: str | None = None

    @property
    def key(self) -> str:
        """The one spelling under which values are collected: `max_length`, `prefix_tuning.length`."""
        return spelled(f"{self.method}.{self.name}" if self.method else self.name)

    @property
    def flag(self) -> str:
        """As a user types it: `--max-length`, `--prefix-tuning.length`, `RUN`."""
        return self.metavar or self.name.upper() if self.positional else "--" + self.key.replace("_", "-")


def spelled(key: str) -> str:
    """Dashes and underscores are the same in flags and in YAML."""
    return key.replace("-", "_")


def settings_of(config: type[Any], methods: Mapping[str, HasOptions], *, group: str = "") -> list[Setting]:
    """All settings of a command: its own (under `group`), those of its groups, and, where it takes them, the options of
    every method.
    """
    found = list(_read(config, group))
    if OPTIONS not in {one.name for one in fields(config)}:
        return found
    choices = "{" + ",".join(methods) + "}"
    named = [replace(one, metavar=choices) if one.name in ("method", "methods") else one for one in found]
    options = (
        replace(one, group=name, about=method.summary, method=name)
        for name, method in methods.items()
        for one in _read(method.options, name)
    )
    return [*named, *options]


def _read(config: type[Any], own_group: str) -> Iterator[Setting]:
    """The command's own fields, then group by group as the configuration inherits them."""
    hints = typing.get_type_hints(config)
    owners = {
        one.name: next(base for base in config.__mro__ if one.name in inspect.get_annotations(base))
        for one in fields(config)
    }
    for one in sorted(fields(config), key=lambda field: config.__mro__.index(owners[field.name])):
        if one.name == OPTIONS or one.metadata.get("hidden"):
            continue
        owner = owners[one.name]
        default: Any = one.default if one.default_factory is MISSING else one.default_factory()
        if hints[one.name] is float:
            default = float(default)  # `alpha: float = 32` reads back from YAML as it was printed
        own = owner is config
        yield Setting(
            name=one.name,
            hint=hints[one.name],
            default=default,
            help=field_texts(owner.__module__).get((owner.__name__, one.name), ""),
            group=own_group if own else owner.__name__.removesuffix("Config").lower(),
            about="" if own and not own_group else inspect.getdoc(owner) or "",
            positional=one.metadata.get("positional", False),
            one_way=one.metadata.get("one_way", False),
            metavar=one.metadata.get("metavar"),
        )


@cache
def field_texts(module: str) -> Mapping[tuple[str, str], str]:
    """The string under each field of each class of a module, on one line; none where the source was not shipped."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    found = {}
    for group in ast.walk(tree):
        if not isinstance(group, ast.ClassDef):
            continue
        for line, below in zip(group.body, group.body[1:], strict=False):
            match line, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[group.name, name] = " ".join(text.split())
    return found
