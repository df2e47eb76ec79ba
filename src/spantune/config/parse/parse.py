"""From command line and YAML to a checked configuration: flags before YAML before defaults, all mistakes together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spantune.config.parse import convert, yaml_file
from spantune.config.parse.command import Command
from spantune.config.parse.fields import OPTIONS, HasOptions, Setting, settings_of, spelled
from spantune.config.parse.flags import Flags, before_flags, read_flags
from spantune.errors import ConfigError, MethodError, nearest


@dataclass(frozen=True)
class GeneralOptions:
    """Every command takes these; they are not part of its configuration."""

    config: str | None = dataclasses.field(default=None, metadata={"metavar": "FILE"})
    """A YAML file of settings, named like the flags; a flag overrides the file."""
    print_config: bool = dataclasses.field(default=False, metadata={"one_way": True})
    """Print all settings as YAML, ready for `--config`, and stop."""
    debug: bool = dataclasses.field(default=False, metadata={"one_way": True})
    """Print tracebacks (or set SPANTUNE_DEBUG=1)."""


@dataclass(frozen=True)
class ParsedCommand:
    """A command's configuration, also as it is written in YAML."""

    config: Any
    general: GeneralOptions
    as_yaml: Mapping[str, Any]


def parse_command(command: Command, argv: Sequence[str], methods: Mapping[str, HasOptions]) -> ParsedCommand:
    """The configuration that a command line means.

    Args:
        argv: the words after the command's name.
        methods: the registry; its options become flags (`--lora.rank`) where the command's configuration has `options`.

    Raises:
        ConfigError: unknown flags, keys and options, mistyped values, options of a method that is not chosen: together.
        SystemExit: the help was printed.
    """
    settings = settings_of(command.config, methods)
    general = settings_of(GeneralOptions, {}, group="general")
    parse = _Parse({one.key: one for one in settings}, methods)
    words = read_flags(command, [*settings, *general], argv)
    parse.unknown_flags(words.unknown, [*settings, *general], command.name)
    options = GeneralOptions(**parse.flags(words, general))
    flags = parse.flags(words, settings)
    file, file_options = parse.file(options.config)
    given = {**file, **flags}
    plain = {one.key: given.get(one.key, one.default) for one in settings if one.method is None}
    chosen = parse.chosen_methods(plain)
    given = {**file, **parse.file_options(file_options, chosen, options.config), **flags}
    parse.unchosen_options(given, flags, chosen)
    parse.report()
    by_method = parse.method_options(given, chosen)
    parse.report()
    if any(one.name == OPTIONS for one in dataclasses.fields(command.config)):
        config = command.config(**plain, options=by_method if "methods" in plain else by_method[chosen[0]])
    else:
        config = command.config(**plain)
    shown = {**plain, **{name: own for name, own in by_method.items() if own}}
    return ParsedCommand(config, options, _lists(shown))


class _Parse:
    """Converts settings and collects what is wrong with them."""

    def __init__(self, known: Mapping[str, Setting], methods: Mapping[str, HasOptions]) -> None:
        self.known, self.methods = known, methods
        self.mistakes: list[str] = []

    def report(self) -> None:
        if self.mistakes:
            lines = "\n".join(self.mistakes).replace("\n", "\n  ")
            raise ConfigError(f"the settings are not valid:\n  {lines}")

    def unknown_flags(self, words: Sequence[str], settings: Iterable[Setting], command: str) -> None:
        flags = [flag for one in settings for flag in one.flags]
        self.mistakes += [f"{word!r}: not expected here" for word in before_flags(words)]
        for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
            fix = _did_you_mean(flag, flags) or f" (see spantune {command} --help)"
            self.mistakes.append(f"{flag}: unknown{fix}")

    def flags(self, words: Flags, settings: Iterable[Setting]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for setting in settings:
            given = words.values.get(setting.key)
            if setting.key in words.repeated and convert.takes_many(setting.hint):
                self.mistakes.append(f"{setting.flag}: given more than once; give all its values after one flag")
            elif setting.key in words.repeated and setting.key == "config":
                self.mistakes.append(f"{setting.flag}: given more than once")
            if isinstance(given, list):
                self._convert(convert.from_words, given, setting, setting.flag, values)
            elif given is not None:
                values[setting.key] = given
        return values

    def file(self, path: str | None) -> tuple[dict[str, Any], Mapping[Any, Any]]:
        """The converted values of the file, and its `options` as they are: their methods are not known yet."""
        if path is None:
            return {}, {}
        try:
            content = yaml_file.read(Path(path))
        except ConfigError as error:
            self.mistakes.append(str(error))
            return {}, {}
        nested = {spelled(one.method) for one in self.known.values() if one.method}
        nested |= {OPTIONS, *map(spelled, self.methods)} if nested else set()
        entries: list[tuple[str, Any]] = []
        options: Mapping[Any, Any] = {}
        for key, value in content.items():
            name = spelled(str(key))
            if name not in nested:
                entries.append((str(key), value))
            elif not isinstance(value, Mapping | None):
                self.mistakes.append(f"{path}: {key}: expected a mapping of options, found {value!r}")
            elif name == OPTIONS:
                options = value or {}
            else:
                entries += [(f"{key}.{option}", inner) for option, inner in (value or {}).items()]
        return self._entries(entries, path), options

    def file_options(self, options: Mapping[Any, Any], chosen: Sequence[str], path: str | None) -> dict[str, Any]:
        """`options:` as a record holds it: flat for one method, a mapping by name for several."""
        flat = len(chosen) == 1 and not any(isinstance(value, Mapping) for value in options.values())
        entries = []
        for name, own in ({chosen[0]: options} if flat else options).items():
            if isinstance(own, Mapping):
                entries += [(f"{name}.{key}", value) for key, value in own.items()]
            else:
                self.mistakes.append(f"{path}: options: {name}: expected a mapping of options, found {own!r}")
        return self._entries(entries, f"{path}: options")

    def chosen_methods(self, plain: dict[str, Any]) -> tuple[str, ...]:
        """The methods that `method` or `methods` names; an empty `methods` is filled with all."""
        if "methods" in plain:
            plain["methods"] = plain["methods"] or tuple(self.methods)
        key = "methods" if "methods" in plain else "method"
        names = plain.get(key, ())
        names = (names,) if isinstance(names, str) else names
        for name in names:
            if name not in self.methods:
                fix = _did_you_mean(name, self.methods)
                self.mistakes.append(f"--{key}: expected one of {', '.join(self.methods)}, found {name!r}{fix}")
        return tuple(dict.fromkeys(name for name in names if name in self.methods))

    def unchosen_options(self, given: Mapping[str, Any], flags: Mapping[str, Any], chosen: Sequence[str]) -> None:
        if not chosen:
            return  # the method itself is a mistake, reported already
        methods = f"method is {chosen[0]}" if len(chosen) == 1 else f"methods are {', '.join(chosen)}"
        for one in self.known.values():
            if one.method is not None and one.key in given and one.method not in chosen:
                self.mistakes.append(f"{one.flag if one.key in flags else one.key}: given, but the {methods}")

    def method_options(self, given: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
        """All options of each chosen method, defaults filled in."""
        options: dict[str, dict[str, Any]] = {}
        for name in chosen:
            own = {one.name: given.get(one.key, one.default) for one in self.known.values() if one.method == name}
            try:
                options[name] = dataclasses.asdict(self.methods[name].resolve(own))
            except MethodError as error:
                self.mistakes.append(str(error))
        return options

    def _entries(self, entries: Iterable[tuple[str, Any]], where: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        spellings: dict[str, str] = {}
        for written, value in entries:
            key = spelled(written)
            if key not in self.known:
                self.mistakes.append(f"{where}: {written}: unknown{_did_you_mean(key, self.known)}")
                continue
            if key in spellings:
                self.mistakes.append(f"{where}: {written}: given twice (also as {spellings[key]})")
            spellings[key] = written
            self._convert(convert.from_yaml, value, self.known[key], f"{where}: {written}", values)
        return values

    def _convert(
        self, to: Callable[[Any, Any], Any], value: Any, setting: Setting, where: str, values: dict[str, Any]
    ) -> None:
        try:
            values[setting.key] = to(value, setting.hint)
        except convert.Mistyped as error:
            self.mistakes.append(f"{where}: {error}")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    match = nearest(word, known)
    return f", did you mean {match}?" if match else ""


def _lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lists(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple) else value
