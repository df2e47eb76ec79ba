"""Settings as a tyro form: flags, their groups and the help. Values come back as the words that the user typed.

Words, because the types of flags and of YAML are checked together (`resolve`), so that all mistakes are one message.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from spantune.config.parse.convert import metavar, takes_many
from spantune.config.parse.fields import Setting, spelled

_UNSET: Any = object()


@dataclass(frozen=True)
class Typed:
    """What stood on a command line.

    Attributes:
        values: by key the words behind a flag, or the bool that a switch means. unknown: the rest.
        repeated: keys of the flags that stood more than once, of which only the last counts.
    """

    values: Mapping[str, list[str] | bool]
    unknown: tuple[str, ...]
    repeated: tuple[str, ...]


def read_flags(settings: Sequence[Setting], argv: Sequence[str], *, command: str, about: str) -> Typed:
    """Sorts the words of a command line by setting. `--help` prints the help and a missing value its message.

    Raises:
        SystemExit: 0 after the help, 2 after a flag without its value.
    """
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    tyro._experimental_options["utf8_boxes"] = encoding.startswith("utf")
    form, unknown = tyro.cli(
        _form(settings),
        prog=f"spantune {command}",
        description=about,
        args=list(argv),
        return_unknown_args=True,
        config=(tyro.conf.HelptextFromCommentsOff,),  # no source to look for texts in, and looking takes a while
    )
    named = Counter(spelled(word.partition("=")[0]) for word in argv)
    values = {}
    for setting in settings:
        value = getattr(getattr(form, _place(setting)) if setting.group else form, setting.name)
        told = setting.hint is not bool or any(named[spelled(name)] for name in switches(setting))
        if value is not _UNSET and told and not (setting.positional and value == []):
            values[setting.key] = value
    repeated = tuple(one.key for one in settings if not one.positional and named[spelled(one.flag)] > 1)
    return Typed(values, tuple(unknown), repeated)


def switches(setting: Setting) -> tuple[str, str]:
    """The two flags of a bool: `--mlflow` and `--no-mlflow`, `--lora.x` and `--lora.no-x`."""
    front, dot, back = setting.flag.removeprefix("--").rpartition(".")
    return setting.flag, f"--{front}{dot}no-{back}"


def _form(settings: Sequence[Setting]) -> type[Any]:
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(setting.group, []).append(setting)
    own = [_leaf(setting) for setting in groups.pop("", [])]
    nested = []
    for title, members in groups.items():
        group = make_dataclass(_place(members[0]), [_leaf(setting) for setting in members])
        group.__doc__ = members[0].about
        kind = Annotated[group, tyro.conf.arg(name=title)]  # type: ignore[valid-type]
        nested.append((_place(members[0]), kind, field(default_factory=group)))
    return make_dataclass("Form", [*own, *nested])


def _place(setting: Setting) -> str:
    return "group_" + spelled(setting.group)


def _leaf(setting: Setting) -> tuple[str, Any, Any]:
    # A bool keeps its own default: tyro makes the pair of switches only of true bools.
    if setting.hint is bool:
        switch: Any = Annotated[bool, _described(setting)]
        if setting.one_way:
            switch = Annotated[switch, tyro.conf.FlagCreatePairsOff]
        return setting.name, switch, field(default=setting.default)
    words = PrimitiveConstructorSpec(
        # A position takes what stands there, so that one word too many is told with the other mistakes.
        nargs="*" if setting.positional or takes_many(setting.hint) else 1,
        metavar=_placeholder(setting),
        instance_from_str=list,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [],
    )
    kind: Any = Annotated[Any, words, _described(setting)]
    if setting.positional:
        kind = Annotated[kind, tyro.conf.Positional]
    return setting.name, kind, field(default=_UNSET)


def _described(setting: Setting) -> Any:
    # Only a method's options are spelled with their group: `--lora.rank`, but `--max-length`.
    return tyro.conf.arg(
        help=setting.help,
        help_behavior_hint=_shown_default(setting),
        metavar=None if setting.hint is bool else _placeholder(setting),
        prefix_name=setting.method is not None,
    )


def _placeholder(setting: Setting) -> str:
    if setting.metavar is None:
        return metavar(setting.hint)
    return f"{setting.metavar} ..." if takes_many(setting.hint) else setting.metavar


def _shown_default(setting: Setting) -> str:
    default = setting.default
    if default is None or default == "" or default == ():
        return ""
    if isinstance(default, bool):
        return f"(default: {'on' if default else 'off'})"
    shown = " ".join(map(str, default)) if isinstance(default, Iterable) and not isinstance(default, str) else default
    return f"(default: {shown})"
