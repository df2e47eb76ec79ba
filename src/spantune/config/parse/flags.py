"""Flags and their help, through argparse. It returns words, so that all mistakes are reported together."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from spantune.config.parse.command import Command
from spantune.config.parse.convert import metavar, takes_many
from spantune.config.parse.fields import Setting
from spantune.errors import ConfigError

_NEGATIVE_POWER = re.compile(r"-[\d.]+e[-+]?\d+", re.IGNORECASE)


def read_flags(
    command: Command, settings: Sequence[Setting], argv: Sequence[str]
) -> tuple[Mapping[str, list[Any]], Sequence[str]]:
    """Sorts the words of a command line by setting.

    Returns:
        By key, what each use of the flag says: a word, several, or the bool that a switch means; and the unknown flags
        with the words after them.

    Raises:
        SystemExit: the help was printed.
        ConfigError: a flag lacks its value, or a switch has one.
    """
    parser = _Parser(command, settings)
    lists = {setting.flag for setting in settings if takes_many(setting.hint)}
    namespace, unknown = parser.parse_known_args([part for word in _joined(argv) for part in _spelled(word, lists)])
    values: dict[str, list[Any]] = vars(namespace)
    for setting in settings:
        if setting.positional:  # argparse returns those after a flag as unknown words
            later = before_flags(unknown)
            unknown = unknown[len(later) :]
            if words := [*values.pop(setting.key, ()), *later]:
                values[setting.key] = [words]
    return values, unknown


def before_flags(words: Sequence[str]) -> list[str]:
    """The words that do not follow a flag."""
    return list(itertools.takewhile(lambda word: not word.startswith("-"), words))


def _joined(argv: Sequence[str]) -> list[str]:
    """`--learning-rate=-1e-3` for `--learning-rate -1e-3`, whose value argparse takes for a flag."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1].startswith("--") and "=" not in joined[-1] and _NEGATIVE_POWER.fullmatch(word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _spelled(word: str, lists: Collection[str]) -> Sequence[str]:
    """The word with dashes in its flag. A list continues after `--data=a b`, which argparse takes for one value."""
    if not word.startswith("--"):
        return [word]
    flag, equals, value = word.partition("=")
    flag = flag.replace("_", "-")
    return [flag, value] if equals and flag in lists and not value.startswith("-") else [flag + equals + value]


class _Parser(argparse.ArgumentParser):
    """A command's flags in their groups; its examples close the help."""

    def __init__(self, command: Command, settings: Sequence[Setting]) -> None:
        places = [setting for setting in settings if setting.positional]
        positions = "".join(f" {_metavar(setting)}{' ...' * takes_many(setting.hint)}" for setting in places)
        super().__init__(
            prog=f"spantune {command.name}",
            usage=f"%(prog)s [OPTIONS]{positions}",
            description=command.summary,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        self._examples = "\n".join(f"  {line}" for line in command.examples.strip().splitlines())
        for group, members in itertools.groupby(settings, key=lambda setting: setting.group):
            own = list(members)
            place = self.add_argument_group(f"{group} options", own[0].about) if group else self
            for setting in own:
                _add(place, setting)

    def format_help(self) -> str:
        return f"{super().format_help()}\nexamples:\n{self._examples}\n"

    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="")  # argparse would hide a BrokenPipeError

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"the settings are not valid:\n  {message.removeprefix('argument ')}")


class _Switch(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        earlier = getattr(namespace, self.dest, [])
        setattr(namespace, self.dest, [*earlier, option_string == self.option_strings[0]])


def _add(place: Any, setting: Setting) -> None:
    text = f"{setting.help} {_shown_default(setting)}".strip().replace("%", "%%")
    if setting.positional:
        place.add_argument(setting.key, nargs="*", metavar=_metavar(setting), help=text)
    elif setting.hint is bool:
        place.add_argument(*setting.flags, dest=setting.key, action=_Switch, nargs=0, help=text)
    else:
        nargs = "*" if takes_many(setting.hint) else None
        shown = _metavar(setting)
        place.add_argument(setting.flag, dest=setting.key, action="append", nargs=nargs, metavar=shown, help=text)


def _metavar(setting: Setting) -> str:
    return setting.metavar or metavar(setting.hint).removesuffix(" ...")


def _shown_default(setting: Setting) -> str:
    default = setting.default
    if default is None or default in ("", ()):
        return ""
    if isinstance(default, bool):
        return f"(default: {'on' if default else 'off'})"
    return f"(default: {' '.join(map(str, default)) if isinstance(default, tuple) else default})"
