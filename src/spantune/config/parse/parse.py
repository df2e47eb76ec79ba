"""From command line and YAML to a checked configuration: flags before YAML before defaults, all mistakes together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spantune.config.parse import convert, yaml_file
from spantune.config.parse.command import Command
from spantune.config.parse.fields import OPTIONS, HasOptions, Setting, settings_of, spelled
from spantune.config.parse.tyro_form import Typed, read_flags, switches
from spantune.errors import ConfigError, MethodError, nearest


@dataclass(frozen=True)
class Invocation:
    """Every command has these; they are no part of its configuration."""

    config: str | None = dataclasses.field(default=None, metadata={"metavar": "FILE"})
    """A YAML file with settings, named like the flags; flags go before it."""
    print_config: bool = dataclasses.field(default=False, metadata={"one_way": True})
    """Print all settings as YAML, ready for `--config`, and stop."""
    debug: bool = dataclasses.field(default=False, metadata={"one_way": True})
    """Print tracebacks (or set SPANTUNE_DEBUG=1)."""


@dataclass(frozen=True)
class Resolved:
    """A command's configuration and how it stands in YAML."""

    config: Any
    invocation: Invocation
    as_yaml: Mapping[str, Any]


class _Mistakes:
    """Collects what is wrong, so that the user hears all of it at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)

    def report(self) -> None:
        """ConfigError with everything collected, where there is anything."""
        if self._lines:
            raise ConfigError("the settings are not valid:\n  " + "\n  ".join(self._lines))


def resolve(command: Command, argv: Sequence[str], methods: Mapping[str, HasOptions]) -> Resolved:
    """The configuration that a command line means.

    Args:
        argv: words behind the command's name.
        methods: the registry; its options become flags (`--lora.rank`) where the command's configuration has `options`.

    Raises:
        ConfigError: unknown flags, keys and options, mistyped values, options of a method that is not chosen: together.
        SystemExit: tyro printed the help (0), or a flag has no value (2).
    """
    settings = settings_of(command.config, methods)
    invocation_settings = settings_of(Invocation, {}, group="general")
    mistakes = _Mistakes()
    typed = read_flags([*settings, *invocation_settings], argv, command=command.name, about=command.summary)
    _report_unknown_flags(typed.unknown, [*settings, *invocation_settings], command.name, mistakes)
    _report_repeated(typed.repeated, settings, invocation_settings, mistakes)
    invocation = Invocation(**_typed_flags(typed, invocation_settings, mistakes))
    flags = _typed_flags(typed, settings, mistakes)
    file, spread = _read_file(invocation.config, settings, methods, mistakes)
    given = {**file, **flags}
    plain = {one.key: given.get(one.key, one.default) for one in settings if one.method is None}
    chosen = _chosen_methods(plain, methods, mistakes)
    _spread(spread, chosen, settings, invocation.config, given, flags, mistakes)
    _report_unchosen(given, flags, settings, chosen, mistakes)
    mistakes.report()
    options = _options(methods, chosen, settings, given, mistakes)
    mistakes.report()
    config = _build(command.config, plain, options)
    return Resolved(config, invocation, _as_yaml({**plain, **{name: one for name, one in options.items() if one}}))


def _report_repeated(
    repeated: Sequence[str], settings: Sequence[Setting], invocation: Sequence[Setting], mistakes: _Mistakes
) -> None:
    """A later number or text goes before an earlier one, as everywhere; lists and files would be lost unsaid."""
    for setting in settings:
        if setting.key in repeated and convert.takes_many(setting.hint):
            mistakes.add(f"{setting.flag}: given more than once; several values stand behind one flag")
    for setting in invocation:
        if setting.key in repeated and setting.hint is not bool:
            mistakes.add(f"{setting.flag}: given more than once")


def _typed_flags(typed: Typed, settings: Sequence[Setting], mistakes: _Mistakes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in settings:
        words = typed.values.get(setting.key)
        if isinstance(words, list):
            try:
                found[setting.key] = convert.from_words(words, setting.hint)
            except convert.Mistyped as error:
                mistakes.add(f"{setting.flag}: {error}")
        elif words is not None:
            found[setting.key] = words
    return found


def _report_unknown_flags(
    unknown: Sequence[str], settings: Sequence[Setting], command: str, mistakes: _Mistakes
) -> None:
    flags = [flag for one in settings for flag in (switches(one) if one.hint is bool else (one.flag,))]
    behind_unknown = False  # the words behind an unknown flag are its values, not further mistakes
    for word in unknown:
        if word.startswith("-") and word.strip("-"):
            behind_unknown, flag = True, word.partition("=")[0]
            match = nearest(flag.replace("_", "-"), flags)
            hint = f", did you mean {match}?" if match else f" (see spantune {command} --help)"
            mistakes.add(f"{flag}: unknown{hint}")
        elif not behind_unknown:
            mistakes.add(f"{word!r}: not expected here")


def _read_file(
    path: str | None, settings: Sequence[Setting], methods: Mapping[str, HasOptions], mistakes: _Mistakes
) -> tuple[dict[str, Any], Mapping[Any, Any]]:
    """Typed values of the file by key, and its `options` as they stand: whose they are is not known yet."""
    if path is None:
        return {}, {}
    try:
        entries = yaml_file.read(Path(path))
    except ConfigError as error:
        mistakes.add(str(error).replace("\n", "\n  "))
        return {}, {}
    takes_options = any(one.method for one in settings)
    groups = {spelled(name): name for name in methods} if takes_options else {}
    flat: dict[str, Any] = {}
    options: Mapping[Any, Any] = {}
    for key, value in entries.items():
        name = spelled(str(key))
        if name in groups or (takes_options and name == OPTIONS):
            if not isinstance(value, Mapping | None):
                mistakes.add(f"{path}: {key}: expected a mapping of options, found {value!r}")
            elif name == OPTIONS:
                options = value or {}
            else:
                _add_entries({f"{key}.{inner}": one for inner, one in (value or {}).items()}, flat, path, mistakes)
        else:
            _add_entries({key: value}, flat, path, mistakes)
    return _typed_entries(flat, settings, path, mistakes), options


def _add_entries(entries: Mapping[Any, Any], flat: dict[str, Any], path: str, mistakes: _Mistakes) -> None:
    for key, value in entries.items():
        before = next((known for known in flat if spelled(known) == spelled(str(key))), None)
        if before is not None:
            mistakes.add(f"{path}: {key}: stands twice (also as {before})")
        flat[str(key)] = value


def _typed_entries(
    flat: Mapping[str, Any], settings: Sequence[Setting], path: str, mistakes: _Mistakes
) -> dict[str, Any]:
    known = {one.key: one for one in settings}
    found: dict[str, Any] = {}
    for key, value in flat.items():
        setting = known.get(spelled(key))
        if setting is None:
            match = nearest(spelled(key), known)
            mistakes.add(f"{path}: {key}: unknown" + (f", did you mean {match}?" if match else ""))
            continue
        try:
            found[setting.key] = convert.from_yaml(value, setting.hint)
        except convert.Mistyped as error:
            mistakes.add(f"{path}: {key}: {error}")
    return found


def _chosen_methods(plain: dict[str, Any], methods: Mapping[str, HasOptions], mistakes: _Mistakes) -> tuple[str, ...]:
    """The methods that `method` or `methods` names; an empty `methods` is filled with all."""
    if "methods" in plain:
        plain["methods"] = named = plain["methods"] or tuple(methods)
    elif "method" in plain:
        named = (plain["method"],)
    else:
        return ()
    for name in named:
        if name not in methods:
            match = nearest(name, methods)
            meant = f", did you mean {match}?" if match else ""
            mistakes.add(
                f"--method{'s' * ('methods' in plain)}: expected one of {', '.join(methods)}, found {name!r}{meant}"
            )
    return tuple(dict.fromkeys(name for name in named if name in methods))


def _spread(
    options: Mapping[Any, Any],
    chosen: Sequence[str],
    settings: Sequence[Setting],
    path: str | None,
    given: dict[str, Any],
    flags: Mapping[str, Any],
    mistakes: _Mistakes,
) -> None:
    """`options:` as a record holds it: flat for one method, a mapping by name for several. Flags still go before it."""
    if not options:
        return
    for_one = len(chosen) == 1 and not any(isinstance(value, Mapping) for value in options.values())
    by_method = {chosen[0]: options} if for_one else options
    flat = {
        f"{name}.{key}": value
        for name, group in by_method.items()
        if isinstance(group, Mapping)
        for key, value in group.items()
    }
    for name, group in by_method.items():
        if not isinstance(group, Mapping):
            mistakes.add(f"{path}: options: {name}: expected a mapping of options, found {group!r}")
    entries = _typed_entries(flat, settings, f"{path}: options", mistakes)
    given.update({key: value for key, value in entries.items() if key not in flags})


def _report_unchosen(
    given: Mapping[str, Any],
    flags: Mapping[str, Any],
    settings: Sequence[Setting],
    chosen: Sequence[str],
    mistakes: _Mistakes,
) -> None:
    if not chosen:
        return  # the method itself is a mistake, reported already
    are = f"method is {chosen[0]}" if len(chosen) == 1 else f"methods are {', '.join(chosen)}"
    for one in settings:
        if one.method is not None and one.key in given and one.method not in chosen:
            mistakes.add(f"{one.flag if one.key in flags else one.key}: given, but the {are}")


def _options(
    methods: Mapping[str, HasOptions],
    chosen: Sequence[str],
    settings: Sequence[Setting],
    given: Mapping[str, Any],
    mistakes: _Mistakes,
) -> dict[str, dict[str, Any]]:
    """All options of each chosen method, defaults filled in."""
    found: dict[str, dict[str, Any]] = {}
    for name in chosen:
        own = {one.name: given.get(one.key, one.default) for one in settings if one.method == name}
        try:
            found[name] = dataclasses.asdict(methods[name].resolve(own))
        except MethodError as error:
            mistakes.add(str(error).replace("\n", "\n  "))
    return found


def _build(config: type[Any], plain: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> Any:
    if OPTIONS not in {one.name for one in dataclasses.fields(config)}:
        return config(**plain)
    return config(**plain, options=dict(options) if "methods" in plain else dict(*options.values()))


def _as_yaml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_yaml(one) for key, one in value.items()}
    return [_as_yaml(one) for one in value] if isinstance(value, tuple) else value
