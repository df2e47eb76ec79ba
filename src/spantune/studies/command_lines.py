"""The command lines that train a recorded run, and carry out a recorded study, again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from spantune.config import AFTERWARDS, BOOKKEEPING, CompareConfig, TrainConfig
from spantune.methods import Method, get
from spantune.runs import RunRecord

_APART = BOOKKEEPING | AFTERWARDS | {"method", "options"}
_NOT_TYPED = {"options", "seed", "plan", "overwrite", "parent_run"}


def train_words(record: RunRecord) -> list[str]:
    """`spantune train` with every setting of a run that is not the default, as words of a command line.

    Raises:
        MethodError: this version does not know the run's method or its options.
    """
    method = get(record.method)
    usual = {**vars(TrainConfig()), "learning_rate": method.learning_rate}
    chosen = {key: value for key, value in record.config.items() if key not in _APART}
    return ["spantune", "train", "--method", record.method, *_words(chosen, usual), *_options(method, record.options)]


def compare_words(protocol: Mapping[str, Any]) -> list[str]:
    """`spantune compare` with every setting of a study that is not the default, as words of a command line.

    Args:
        protocol: of its `StudyRecord`.

    Raises:
        MethodError: this version does not know a method or its options.
    """
    chosen = {key: value for key, value in protocol.items() if key not in _NOT_TYPED}
    by_method = protocol.get("options") or {}
    options = [word for name in by_method for word in _options(get(name), by_method[name])]
    return ["spantune", "compare", *_words(chosen, vars(CompareConfig())), *options]


def _options(method: Method, options: Mapping[str, Any]) -> Iterator[str]:
    return _words(asdict(method.resolve(options)), asdict(method.resolve({})), f"{method.name}.")


def _words(values: Mapping[str, Any], usual: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Flags for the values that are not as usual; keys that this version does not know are left out."""
    for key, value in values.items():
        plain = tuple(value) if isinstance(value, list) else value
        name = f"{prefix}{key}".replace("_", "-")
        if plain == usual.get(key, plain):
            continue
        if isinstance(plain, bool):
            yield f"--{name}" if plain else f"--no-{name}"
        else:
            yield from (f"--{name}", *map(_word, plain if isinstance(plain, tuple) else (plain,)))


def _word(value: Any) -> str:
    if value is None:
        return "none"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
