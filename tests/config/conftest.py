"""A registry of two invented methods, so that these tests hold whatever the real one contains."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from spantune.config import CompareConfig, TrainConfig
from spantune.config.parse.command import Command
from spantune.config.parse.parse import ParsedCommand, parse_command
from spantune.errors import MethodError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import one_thread  # noqa: F401


@dataclass(frozen=True)
class LowOptions:
    rank: int = 4
    """Rank of it."""
    alpha: float = 8.0
    targets: Literal["some", "all"] = "some"
    fast: bool = False
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank: expected 1 or more, found {self.rank}")


@dataclass(frozen=True)
class DashedOptions:
    length: int = 20


@dataclass(frozen=True)
class NoOptions:
    pass


@dataclass(frozen=True)
class FakeMethod:
    summary: str
    options: type[Any]

    def resolve(self, given: Mapping[str, Any]) -> Any:
        try:
            return self.options(**given)
        except ValueError as error:
            raise MethodError(f"the options are not valid: {error}") from error


REGISTRY = {
    "lora": FakeMethod("Low rank", LowOptions),
    "dashed-name": FakeMethod("Name with a dash", DashedOptions),
    "bare": FakeMethod("Without options", NoOptions),
}


def command(config: type[Any]) -> Command:
    return Command("try", config, run=lambda config: None, examples="spantune try")


@pytest.fixture
def train() -> Callable[..., ParsedCommand]:
    """Resolves words as `spantune train` would."""
    return lambda *words: parse_command(command(TrainConfig), words, REGISTRY)


@pytest.fixture
def compare() -> Callable[..., ParsedCommand]:
    """Resolves words as `spantune compare` would."""
    return lambda *words: parse_command(command(CompareConfig), words, REGISTRY)


@pytest.fixture
def as_command() -> Callable[[type[Any], Sequence[str]], ParsedCommand]:
    """Resolves words for any configuration."""
    return lambda config, words: parse_command(command(config), words, REGISTRY)
