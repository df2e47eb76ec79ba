"""Checks that the options of several methods share. An options class calls `require` in `__post_init__`."""

from __future__ import annotations

from typing import Literal

Targets = Literal["query-value", "attention", "linear"]


def require(ok: bool, name: str, expected: str, found: object) -> None:
    """ValueError with what was expected and found; the registry turns it into the user's message."""
    if not ok:
        raise ValueError(f"{name}: expected {expected}, found {found!r}")


def require_rank(rank: int, alpha: float, dropout: float) -> None:
    """The ranges that every low-rank method shares."""
    require(1 <= rank <= 1024, "rank", "1 to 1024", rank)
    require(alpha > 0, "alpha", "above 0", alpha)
    require(0 <= dropout < 1, "dropout", "0 to below 1", dropout)
