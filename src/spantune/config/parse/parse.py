"""From command line and YAML to a checked configuration: flags before YAML before defaults, all mistakes together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spantune.config.parse import convert, yaml_file
from spantune.config.parse.command import Command
from spantune.config.parse.fields import OPTIONS, HasOptions, Setting, settings_of, spelled
from spantune.config.parse.flags import before_flags, read_flags
from spantune.errors import ConfigError, MethodError, nearest


@dataclass(frozen=True)
class GeneralOptions:
    """Options of every command that are not part of its configuration."""

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
    parse = _Parse({setting.key: setting for setting in settings}, methods)
    words, unknown = read_flags(command, [*settings, *general], argv)
    parse.unknown_flags(unknown, [*settings, *general], command.name)
    options = GeneralOptions(**parse.flags(words, general))
    flags = parse.flags(words, settings)
    merged = {**parse.file(options.config, flags.get("method")), **flags}
    plain = {setting.key: merged.get(setting.key, setting.default) for setting in settings if setting.method is None}
    chosen = parse.chosen_methods(plain)
    parse.unchosen_options(merged, flags, chosen)
    parse.report()
    by_method = parse.method_options(merged, chosen)
    parse.report()
    own = {OPTIONS: by_method if "methods" in plain else by_method[chosen[0]]} if chosen else {}
    shown = {**plain, **{name: values for name, values in by_method.items() if values}}
    return ParsedCommand(command.config(**plain, **own), options, shown)


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
        flags = [flag for setting in settings for flag in setting.flags]
        self.mistakes += [f"{word!r}: not expected here" for word in before_flags(words)]
        for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
            fix = _did_you_mean(flag, flags) or f" (see spantune {command} --help)"
            self.mistakes.append(f"{flag}: unknown{fix}")

    def flags(self, words: Mapping[str, Sequence[Any]], settings: Iterable[Setting]) -> dict[str, Any]:
        """The converted values of the flags. A repeated flag counts once, unless that loses something."""
        values: dict[str, Any] = {}
        for setting in settings:
            *earlier, last = words.get(setting.key, (None,))
            if earlier and convert.takes_many(setting.hint):
                self.mistakes.append(f"{setting.flag}: given more than once; give all its values after one flag")
            elif earlier and setting.key == "config":
                self.mistakes.append(f"{setting.flag}: given more than once")
            if isinstance(last, bool):
                values[setting.key] = last
            elif last is not None:
                own = [last] if isinstance(last, str) else last
                self._convert(convert.from_words, own, setting, setting.flag, values)
        return values

    def file(self, path: str | None, method: str | None) -> dict[str, Any]:
        """The converted values of a file. `method` is the one that a flag names."""
        try:
            content = {} if path is None else yaml_file.read(Path(path))
        except ConfigError as error:
            self.mistakes.append(str(error))
            return {}
        values: dict[str, Any] = {}
        spellings: dict[str, str] = {}
        for where, written, value in self._entries(content, f"{path}", method):
            key = spelled(written)
            if key not in self.known:
                self.mistakes.append(f"{where}: {written}: unknown{_did_you_mean(key, self.known)}")
                continue
            if key in spellings:
                self.mistakes.append(f"{where}: {written}: given twice (also as {spellings[key]})")
            spellings[key] = written
            self._convert(convert.from_yaml, value, self.known[key], f"{where}: {written}", values)
        return values

    def _entries(self, content: Mapping[Any, Any], path: str, method: str | None) -> Iterator[tuple[str, str, Any]]:
        """Place, key and value of each entry. The options of a method are nested below its name, or, as a record has
        them, below `options`: by method, or those of the only one."""
        methods = {spelled(setting.method) for setting in self.known.values() if setting.method}
        methods |= {OPTIONS, *map(spelled, self.methods)} if methods else set()
        for key, value in content.items():
            name, where = spelled(str(key)), path
            nested: Mapping[Any, Any] = {key: value}
            if name not in methods:
                yield path, str(key), value
                continue
            if name == OPTIONS and isinstance(value, Mapping):
                where, nested = f"{path}: {OPTIONS}", value
                if "method" in self.known and not any(isinstance(own, Mapping) for own in value.values()):
                    nested = {method or content.get("method", self.known["method"].default): value}
            for owner, own in nested.items():
                if isinstance(own, Mapping | None):
                    yield from ((where, f"{owner}.{option}", inner) for option, inner in (own or {}).items())
                else:
                    self.mistakes.append(f"{where}: {owner}: expected a mapping of options, found {own!r}")

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
            return  # the method itself is a mistake that is reported already
        methods = f"method is {chosen[0]}" if len(chosen) == 1 else f"methods are {', '.join(chosen)}"
        for setting in self.known.values():
            if setting.method is not None and setting.key in given and setting.method not in chosen:
                shown = setting.flag if setting.key in flags else setting.key
                self.mistakes.append(f"{shown}: given, but the {methods}")

    def method_options(self, given: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
        """All options of each chosen method, defaults filled in."""
        options: dict[str, dict[str, Any]] = {}
        for name in chosen:
            known = [setting for setting in self.known.values() if setting.method == name]
            own = {setting.name: given.get(setting.key, setting.default) for setting in known}
            try:
                options[name] = dataclasses.asdict(self.methods[name].resolve(own))
            except MethodError as error:
                self.mistakes.append(str(error))
        return options

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
