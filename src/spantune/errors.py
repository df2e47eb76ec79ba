"""The errors that every room may raise. A user's mistake is a `UserError` and never ends in a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpantuneError(Exception):
    """Something failed through no mistake of the user's. The command line exits with 1."""

    exit_code = 1


class UserError(SpantuneError):
    """A mistake that the user can fix; the command line exits with 2 and prints only the message.

    Args:
        problem: what is wrong, one sentence without the final full stop.
        where: file, line, id or field that is meant.
        expected: what would have been right.
        found: what is there instead.
        fix: the likeliest remedy.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.where, self.expected, self.found, self.fix = problem, where, expected, found, fix
        named = (("where", where), ("expected", expected), ("found", found), ("fix", fix))
        super().__init__("\n".join([problem, *(f"  {name + ':':<10}{text}" for name, text in named if text)]))


class ConfigError(UserError):
    """A flag, a key of a configuration or a combination of them is wrong."""


class DataError(UserError):
    """A data source cannot be read or is broken."""


class MethodError(UserError):
    """A method is unknown, its options are wrong, or the encoder cannot take it."""


class EncoderError(UserError):
    """An encoder or its tokenizer cannot be loaded or cannot be used here."""


class RunError(UserError):
    """A run folder is missing, incomplete, or not what the command needs."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely meant, or None."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the sorted list of what there is when nothing is near."""
    names = sorted(known)
    match = nearest(word, names)
    return f"did you mean {match!r}?" if match else f"known: {', '.join(names)}"
