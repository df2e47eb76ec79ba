"""Reads the dataclasses: each field becomes a `Setting` with its flag, YAML key, help and type.

Two conventions: a configuration with a field `options` takes the options of methods, and its field `method` or
`methods` names these methods. Field metadata: `positional` (given without a flag), `metavar`, `hidden` (cannot be
set), `one_way` (a switch without a `--no-` form).
"""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

OPTIONS = "options"


class HasOptions(typing.Protocol):
    """The part of a method that the command line reads (`spantune.methods.Method`)."""

    @property
    def summary(self) -> str: ...

    @property
    def options(self) -> type[Any]: ...

    def resolve(self, given: Mapping[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Setting:
    """A setting.

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
        """The spelling under which values are collected: `max_length`, `prefix_tuning.length`."""
        return spelled(f"{self.method}.{self.name}" if self.method else self.name)

    @property
    def flag(self) -> str:
        """As a user types it: `--max-length`, `--prefix-tuning.length`, `RUN`."""
        return self.metavar or self.name.upper() if self.positional else "--" + self.key.replace("_", "-")

    @property
    def flags(self) -> tuple[str, ...]:
        """A switch has two flags: `--mlflow` and `--no-mlflow`, `--lora.x` and `--lora.no-x`."""
        if self.hint is not bool or self.one_way:
            return (self.flag,)
        method, dot, name = self.flag.removeprefix("--").rpartition(".")
        return self.flag, f"--{method}{dot}no-{name}"


def spelled(key: str) -> str:
    """Dashes and underscores are equivalent in flags and in YAML."""
    return key.replace("-", "_")


def settings_of(config: type[Any], methods: Mapping[str, HasOptions], *, group: str = "") -> list[Setting]:
    """All settings of a command: its own (under `group`), those of its groups, and, where it has `options`, the options
    of every method.
    """
    settings = list(_read(config, group))
    if OPTIONS not in {field.name for field in fields(config)}:
        return settings
    for method, description in methods.items():
        options = _read(description.options, method)
        settings += [replace(option, about=description.summary, method=method) for option in options]
    known = f"One of {', '.join(methods)}."
    return [
        replace(setting, metavar="METHOD", help=f"{setting.help} {known}")
        if setting.key in ("method", "methods")
        else setting
        for setting in settings
    ]


def _read(config: type[Any], own_group: str) -> Iterator[Setting]:
    """The command's own fields, then group by group as the configuration inherits them."""
    hints = typing.get_type_hints(config)
    declared = {field.name: field for field in fields(config)}
    for owner in config.__mro__:
        texts = field_texts(owner.__module__) if is_dataclass(owner) else {}
        for name in inspect.get_annotations(owner):
            field = declared.pop(name, None)
            if field is None or name == OPTIONS or field.metadata.get("hidden"):
                continue
            default: Any = field.default if field.default_factory is MISSING else field.default_factory()
            yield Setting(
                name=name,
                hint=hints[name],
                # `alpha: float = 32` reads back from YAML as it was printed
                default=float(default) if hints[name] is float else default,
                help=texts.get((owner.__name__, name), ""),
                group=own_group if owner is config else owner.__name__.removesuffix("Config").lower(),
                about="" if owner is config and not own_group else inspect.getdoc(owner) or "",
                **{key: value for key, value in field.metadata.items() if key != "hidden"},
            )


@cache
def field_texts(module: str) -> Mapping[tuple[str, str], str]:
    """By class and field, the string below each field in a module, on one line; empty without the source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    texts = {}
    for group in ast.walk(tree):
        if not isinstance(group, ast.ClassDef):
            continue
        for line, below in zip(group.body, group.body[1:], strict=False):
            match line, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[group.name, name] = " ".join(text.split())
    return texts
