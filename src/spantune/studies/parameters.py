"""What a sweep may choose: settings of the training and options of a method, with the values to try."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spantune.config import CompareConfig, EncoderConfig, OptimiserConfig, TrainConfig, WindowConfig
from spantune.config.parse.convert import Mistyped, from_words
from spantune.errors import ConfigError, UserError, did_you_mean
from spantune.methods import Method, get, methods
from spantune.reports.tables.number_format import is_number, shown
from spantune.training.run_settings import resolve

Values = Mapping[str, Any]
"""Values by a parameter's key: `learning_rate`, `lora.rank`."""

_LEARNING_RATE = "learning_rate"
# What makes a run longer or larger is its budget, which is the same for all; the encoders are compared, not chosen.
_NOT_SWEPT = {"seed", "epochs", "model", "device", "max_batch_tokens", "gradient_checkpointing"}
_SETTINGS = {
    name: kind
    for group in (OptimiserConfig, WindowConfig, EncoderConfig)
    for name, kind in typing.get_type_hints(group).items()
    if name not in _NOT_SWEPT
} | {_LEARNING_RATE: float}
"""Settings that can be swept, and their types."""
_RANGE = re.compile(r"(?P<low>[^:]+?)\.\.(?P<high>[^:]+?)(?P<log>:log)?")


class _Invalid(Exception):
    """What is wrong with an entry of `sweep` or `grid`."""


@dataclass(frozen=True)
class Range:
    """All values between two, for a search that does not try each."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{':log' * self.log}"


@dataclass(frozen=True)
class Parameter:
    """One thing that a sweep chooses for a method.

    Attributes:
        key: a setting, or METHOD.OPTION. kind: its type, as annotated. values: to try, in order; or a range.
    """

    key: str
    kind: Any
    values: tuple[Any, ...] | Range

    @property
    def name(self) -> str:
        """Of the setting or option."""
        return self.key.rpartition(".")[2]

    @property
    def option(self) -> bool:
        """Whether it is an option of the method."""
        return "." in self.key

    def __str__(self) -> str:
        if isinstance(self.values, Range):
            return f"{self.key.replace('_', '-')} {self.values}"
        tried = [shown(value) for value in self.values]
        between = "; " if any("," in value for value in tried) else ", "
        return f"{self.key.replace('_', '-')} {between.join(tried)}"

    def default(self, config: TrainConfig) -> Any:
        """The value of a run that does not set it."""
        resolved = resolve(config)
        return resolved.options[self.name] if self.option else getattr(resolved, self.name)

    def problem(self, config: TrainConfig, value: Any) -> str | None:
        """Why the value cannot be tried; None if it can."""
        try:
            resolve(applied(config, [self], {self.key: value}))
        except UserError as error:
            return str(error).splitlines()[-1 if isinstance(error, ConfigError) else 0].strip()
        return None


def applied(config: TrainConfig, parameters: Sequence[Parameter], values: Values) -> TrainConfig:
    """A run with these values; a parameter without one keeps what it has.

    Raises:
        UserError: a value is not valid.
    """
    for parameter in parameters:
        if parameter.key in values:
            own = {parameter.name: values[parameter.key]}
            config = replace(config, options={**config.options, **own}) if parameter.option else replace(config, **own)
    return config


def described(values: Values) -> str:
    """`learning-rate 0.002, lora.rank 8`."""
    return ", ".join(f"{key.replace('_', '-')} {shown(value)}" for key, value in values.items())


def swept(config: CompareConfig, base: Mapping[str, TrainConfig]) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of each method's sweep; () for a method that has none.

    Args:
        base: a run of each compared method, to check values against.

    Raises:
        ConfigError: unknown names, values of the wrong type or out of range, a grid of one value, no values at all:
            together.
    """
    mistakes: list[str] = []
    grids = _grids(config, mistakes)
    mistakes += _unknown_methods((*config.sweep, *grids), base)
    parameters = {name: tuple(_parameters(config, get(name), base[name], grids, mistakes)) for name in base}
    used = {key for name, ones in parameters.items() for parameter in ones for key in _keys(get(name), parameter)}
    if not mistakes:
        mistakes += [f"grid: {key}: not swept; name it in sweep as well" for key in grids if key not in used]
    if mistakes:
        raise ConfigError("the sweep is not valid:\n  " + "\n  ".join(dict.fromkeys(mistakes)))
    return parameters


def _grids(config: CompareConfig, mistakes: list[str]) -> dict[str, str]:
    """The values of each entry of `grid`, still as text, by name."""
    grids: dict[str, str] = {}
    for entry in config.grid:
        name, equals, text = entry.partition("=")
        name = _spelled(name)
        if not equals or not name or not text.strip():
            mistakes.append(f"grid: expected NAME=VALUE,VALUE, found {entry!r}")
        elif name in grids:
            mistakes.append(f"grid: {name}: given twice")
        else:
            grids[name] = text
    return grids


def _spelled(name: str) -> str:
    """`prefix-tuning.length` keeps its method's dash; a setting or option has underscores."""
    owner, dot, own = name.strip().rpartition(".")
    return f"{owner}{dot}{own.replace('-', '_')}"


def _unknown_methods(names: Sequence[str], base: Mapping[str, TrainConfig]) -> list[str]:
    owners = dict.fromkeys(owner for name in names for owner, dot, _ in [name.rpartition(".")] if dot)
    return [
        f"{owner}: not among the compared methods"
        if owner in methods()
        else f"{owner}: no such method, {did_you_mean(owner, base)}"
        for owner in owners
        if owner not in base
    ]


def _parameters(
    config: CompareConfig, method: Method, base: TrainConfig, grids: Mapping[str, str], mistakes: list[str]
) -> list[Parameter]:
    """The swept parameters that this method has, each with its values."""
    parameters: dict[str, Parameter] = {}
    for entry in config.sweep:
        owner, dot, name = _spelled(entry).rpartition(".")
        if dot and owner != method.name:
            continue
        try:
            parameter = _parameter(method, name, bool(dot))
            if parameter.key in parameters:
                raise _Invalid(f"named twice for {method.name}")
            parameters[parameter.key] = replace(parameter, values=_values(config, method, parameter, base, grids))
        except (Mistyped, _Invalid) as problem:
            mistakes.append(f"sweep: {entry}: {problem}")
    return list(parameters.values())


def _parameter(method: Method, name: str, of_method: bool) -> Parameter:
    """What is meant, still without values."""
    options = typing.get_type_hints(method.options) if of_method else {}
    if name in options:
        return Parameter(f"{method.name}.{name}", options[name], ())
    if name in _SETTINGS:
        return Parameter(name, _SETTINGS[name], ())
    meant = did_you_mean(name, [setting.replace("_", "-") for setting in (*_SETTINGS, *options)])
    raise _Invalid(f"cannot be swept; {meant}" + ("" if of_method else " (an option: METHOD.NAME)"))


def _keys(method: Method, parameter: Parameter) -> tuple[str, ...]:
    """The names that a parameter's grid may have, the method's own first; an option has its name to itself."""
    own = f"{method.name}.{parameter.name}"
    if parameter.option:
        return (own,)
    return (parameter.name,) if parameter.name in typing.get_type_hints(method.options) else (own, parameter.name)


def _values(
    config: CompareConfig, method: Method, parameter: Parameter, base: TrainConfig, grids: Mapping[str, str]
) -> tuple[Any, ...] | Range:
    """The values to try."""
    is_rate = parameter.key == _LEARNING_RATE
    if is_rate and config.learning_rate is not None:
        raise _Invalid("given as a setting, too; leave one of the two out")
    text = next((grids[key] for key in _keys(method, parameter) if key in grids), None)
    if text is None and not is_rate:
        raise _Invalid(f"has no grid of its own; add --grid {parameter.key.replace('_', '-')}=VALUE,VALUE")
    if text is None:  # for Optuna the method's grid and a factor of three on either side
        return Range(min(method.grid) / 3, max(method.grid) * 3, log=True) if config.search == "optuna" else method.grid
    values = _read(text.strip(), parameter.kind)
    if isinstance(values, Range) and config.search != "optuna":
        raise _Invalid(
            f"expected values with commas between them, found the range {text} (a range is for --search optuna)"
        )
    for value in (values.low, values.high) if isinstance(values, Range) else values:
        if problem := parameter.problem(base, value):
            raise _Invalid(problem)
    return values


def _read(text: str, kind: Any) -> tuple[Any, ...] | Range:
    """The values that a text names."""
    if match := _RANGE.fullmatch(text):
        low, high, log = from_words([match["low"]], kind), from_words([match["high"]], kind), match["log"] is not None
        if not (is_number(low) and is_number(high)):
            raise _Invalid(f"expected values with commas between them, found the range {text} of what is no number")
        if low >= high or (log and low <= 0):
            raise _Invalid(f"expected LOW..HIGH with LOW below HIGH{' and above 0' * log}, found {text}")
        return Range(low, high, log)
    # A value that is itself a list (adapted layers) has commas, so semicolons separate the values.
    words = [word.strip() for word in text.split(";" if ";" in text else ",")]
    if "" in words:
        raise _Invalid(f"expected a value on each side of a comma or semicolon, found {text}")
    values = tuple(from_words([word], kind) for word in words)
    if len(values) == 1:
        raise _Invalid(f"a grid of one value ({text}) chooses nothing; name two or more, or set it without a sweep")
    if len(set(values)) < len(values):
        raise _Invalid(f"expected each value once, found {text}")
    return values
