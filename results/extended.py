"""Two studies with one protocol, each with methods of its own, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spantune.config import AFTERWARDS, BOOKKEEPING
from spantune.errors import RunError
from spantune.scoring.dimensions import DIMENSIONS

PLACE = ("id", "context", "context_characters", *(one.name for one in DIMENSIONS))
"""Columns of `answers.csv` that tell the question."""
_OWN = BOOKKEEPING | AFTERWARDS | {"methods", "grid", "options", "workers", "executor", "plan", "budget_minutes"}
"""Settings in which the two may differ: the methods' own, and what touches no number."""


def extended(before: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """`study.json` of both; a sweep or run that both have is the added one's.

    Raises:
        RunError: their protocols differ.
    """
    protocol, more = before["protocol"], added["protocol"]
    shared = (protocol.keys() & more.keys()) - _OWN
    other = sorted(key for key in shared if protocol[key] != more[key])
    if other:
        raise RunError(
            "a published study can only be added to by its own protocol",
            where=", ".join(other),
            expected="; ".join(f"{key} {protocol[key]}" for key in other),
            found="; ".join(f"{key} {more[key]}" for key in other),
            fix="publish it under another name",
        )
    told = {key: _all(protocol.get(key, ()), more.get(key, ())) for key in ("methods", "grid")}
    options = {**protocol.get("options", {}), **more.get("options", {})}
    return {
        **before,
        "protocol": {**protocol, **told, "options": options},
        "sweeps": _latest((*before["sweeps"], *added["sweeps"]), "method", "model"),
        "runs": _latest((*before["runs"], *added["runs"]), "folder"),
        **{key: _all(before[key], added[key]) for key in ("left_out", "notes")},
        "finished_at": max(filter(None, (before["finished_at"], added["finished_at"])), default=None),
    }


def joined(before: Sequence[Mapping[str, str]], added: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The lines of both `answers.csv`; the columns of a run that both have are the added one's.

    Raises:
        RunError: they are not about the same questions.
    """
    if _questions(before) != _questions(added):
        raise RunError(
            "a published study can only be added to with answers to the same questions",
            expected=f"its {len(before)} questions, in its order",
            found=f"{len(added)} questions, not all of them the same",
            fix="publish it under another name",
        )
    return [{**old, **new} for old, new in zip(before, added, strict=True)]


def _questions(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in PLACE) for row in rows]


def _all(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _latest(entries: Sequence[Mapping[str, Any]], *keys: str) -> list[Mapping[str, Any]]:
    """Of entries with the same keys the last, where the first stood."""
    return list({tuple(one[key] for key in keys): one for one in entries}.values())
