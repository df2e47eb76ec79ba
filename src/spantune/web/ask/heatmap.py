"""The heat strip: start and end probabilities over the tokens, a model a row, without parts where both are low."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spantune.web.models import Model

if TYPE_CHECKING:
    from spantune.answering.token_probabilities import Inside

_LEAST = 0.05
"""A token is shown where the answer begins or ends with this probability, for any model of the strip."""
_AROUND = 2
"""Tokens that are shown before and after it."""
_MOST = 60


@dataclass(frozen=True)
class TokenColumn:
    """A token, or (`text` is "") a number of tokens that are left out."""

    text: str
    left_out: int = 0


@dataclass(frozen=True)
class TokenHeat:
    """Probabilities in per cent, rounded; `start_heat` and `end_heat` in tenths, for the colour."""

    start: int
    end: int
    start_heat: int
    end_heat: int


@dataclass(frozen=True)
class HeatRow:
    """A model's probabilities, None where tokens are left out; and which window won, counted from 1, of how many."""

    model: Model
    cells: tuple[TokenHeat | None, ...]
    window: int
    windows: int
    share: float
    characters: tuple[int, int]


@dataclass(frozen=True)
class HeatStrip:
    """Models whose winning windows have the same tokens."""

    columns: tuple[TokenColumn, ...]
    rows: tuple[HeatRow, ...]


def strips(context: str, models: Sequence[Model], inside: Mapping[str, Inside]) -> tuple[HeatStrip, ...]:
    """One strip for each way in which a context was cut into tokens, and each winning window."""
    alike: dict[bytes, list[Model]] = {}
    for model in models:
        if model.name in inside:
            alike.setdefault(np.ascontiguousarray(inside[model.name].spans).tobytes(), []).append(model)
    return tuple(_strip(context, some, inside) for some in alike.values())


def _strip(context: str, models: Sequence[Model], inside: Mapping[str, Inside]) -> HeatStrip:
    spans = inside[models[0].name].spans
    shown = _shown([inside[model.name] for model in models])
    columns: list[TokenColumn] = []
    places: list[int | None] = []
    before = -1
    for at in [*shown, len(spans)]:
        if at - before > 1:
            columns.append(TokenColumn("", left_out=at - before - 1))
            places.append(None)
        if at < len(spans):
            columns.append(TokenColumn(context[slice(*spans[at].tolist())] or "␣"))
            places.append(at)
        before = at
    return HeatStrip(tuple(columns), tuple(_row(model, inside[model.name], places) for model in models))


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


def _row(model: Model, seen: Inside, places: Sequence[int | None]) -> HeatRow:
    cells = tuple(None if at is None else _cell(float(seen.starts[at]), float(seen.ends[at])) for at in places)
    window = seen.windows[seen.won]
    return HeatRow(model, cells, seen.won + 1, len(seen.windows), window.share, (window.start, window.end))


def _cell(start: float, end: float) -> TokenHeat:
    return TokenHeat(round(100 * start), round(100 * end), _heat(start), _heat(end))


def _heat(probability: float) -> int:
    """0 to 10; whatever is not nearly 0 is visible."""
    return 0 if probability < 0.015 else max(1, round(10 * probability**0.5))
