"""A subcommand, as its file declares it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        config: the frozen dataclass whose fields are the flags and YAML keys; its docstring is the summary.
        run: does the work with an instance of it; imports its stage inside.
        examples: command lines that close the help, with a comment above each.
        resume: flags that continue an interrupted command; None if it always starts over.
    """

    name: str
    config: type[Any]
    run: Callable[[Any], None]
    examples: str
    resume: tuple[str, ...] | None = None

    @property
    def summary(self) -> str:
        return inspect.getdoc(self.config) or ""
