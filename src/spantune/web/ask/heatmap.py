"""The heat strip: start and end probabilities over the tokens, one row per model, without parts where both are low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spantune.web.admission import ScoredAnswer
from spantune.web.models import Model

if TYPE_CHECKING:
    from spantune.answering.token_probabilities import Inside

_LEAST = 0.05
"""A token is shown where the answer begins or ends with this probability, for any model of the strip."""
_AROUND = 2
"""Tokens that are shown before and after it."""
_MOST = 60
_FAINT = 0.015
"""What is less probable has no colour."""


@dataclass(frozen=True)
class TokenHeat:
    """Probabilities in per cent, rounded; `start_heat` and `end_heat` in tenths, for the colour."""

    start: int
    end: int
    start_heat: int
    end_heat: int


@dataclass(frozen=True)
class HeatRow:
    """What a model sees in the tokens; None if they are left out."""

    model: Model
    cells: Sequence[TokenHeat | None]
    inside: Inside


@dataclass(frozen=True)
class HeatStrip:
    """Models whose winning windows have the same tokens; `columns` has these, or how many are left out."""

    columns: Sequence[str | int]
    rows: Sequence[HeatRow]


def strips(context: str, answers: Sequence[ScoredAnswer]) -> list[HeatStrip]:
    """One strip for each way in which a context was cut into tokens, and each winning window."""
    alike: dict[bytes, list[tuple[Model, Inside]]] = {}
    for answer in answers:
        if (inside := answer.given.inside) is not None:
            alike.setdefault(np.ascontiguousarray(inside.spans).tobytes(), []).append((answer.model, inside))
    return [_strip(context, seen) for seen in alike.values()]


def _strip(context: str, seen: Sequence[tuple[Model, Inside]]) -> HeatStrip:
    spans = seen[0][1].spans
    columns: list[str | int] = []
    places: list[int | None] = []
    before = -1
    for at in [*_shown([inside for _, inside in seen]), len(spans)]:
        if at - before > 1:
            columns.append(at - before - 1)
            places.append(None)
        if at < len(spans):
            columns.append(context[slice(*spans[at].tolist())] or "␣")
            places.append(at)
        before = at
    return HeatStrip(columns, [HeatRow(model, _cells(inside, places), inside) for model, inside in seen])


def _shown(inside: Sequence[Inside]) -> list[int]:
    """The tokens where something happens, and those around them; at most `_MOST`, those with the highest first."""
    highest = np.max([np.maximum(seen.starts, seen.ends) for seen in inside], axis=0)
    order = [at for at in np.argsort(-highest, kind="stable").tolist() if highest[at] >= _LEAST]
    kept: set[int] = set()
    for at in order or list(range(min(1, len(highest)))):
        wanted = range(max(0, at - _AROUND), min(len(highest), at + _AROUND + 1))
        if len(kept.union(wanted)) > _MOST:
            break
        kept.update(wanted)
    return sorted(kept)


def _cells(seen: Inside, places: Sequence[int | None]) -> list[TokenHeat | None]:
    shares = np.stack([seen.starts, seen.ends], axis=1)
    heat = np.where(shares < _FAINT, 0, np.maximum(1, np.rint(10 * np.sqrt(shares))))
    cells = np.hstack([np.rint(100 * shares), heat]).astype(int).tolist()
    return [None if at is None else TokenHeat(*cells[at]) for at in places]
