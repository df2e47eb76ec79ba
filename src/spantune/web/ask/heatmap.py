"""The heat strip: start and end probabilities over the tokens, a model a row; where nothing happens it is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spantune.web.served_models import Model

if TYPE_CHECKING:
    from spantune.answering.token_probabilities import Inside

_LEAST = 0.05
"""A token is shown where the answer begins or ends with this probability, for any model of the strip."""
_AROUND = 2
"""So many tokens before and behind it."""
_MOST = 60


@dataclass(frozen=True)
class Column:
    """A token, or (`text` is "") tokens that are left out: so many.

    Attributes:
        start: its first character in the context.
    """

    text: str
    start: int = 0
    left_out: int = 0


@dataclass(frozen=True)
class Cell:
    """Probabilities in per cent, rounded; `start_heat` and `end_heat` in tenths, for the colour."""

    start: int
    end: int
    start_heat: int
    end_heat: int


@dataclass(frozen=True)
class Row:
    """A model's probabilities, None where tokens are left out; and which window won, counted from 1, of how many."""

    model: Model
    cells: tuple[Cell | None, ...]
    window: int
    windows: int
    share: float
    null_probability: float
    characters: tuple[int, int]


@dataclass(frozen=True)
class Strip:
    """Models whose winning windows have the same tokens."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def strips(context: str, models: Sequence[Model], inside: Mapping[str, Inside]) -> tuple[Strip, ...]:
    """One strip for each way in which a context was cut into tokens, and each winning window."""
    alike: dict[bytes, list[Model]] = {}
    for model in models:
        if model.name in inside:
            alike.setdefault(np.ascontiguousarray(inside[model.name].spans).tobytes(), []).append(model)
    return tuple(_strip(context, some, inside) for some in alike.values())


def _strip(context: str, models: Sequence[Model], inside: Mapping[str, Inside]) -> Strip:
    spans = inside[models[0].name].spans
    shown = _shown([inside[one.name] for one in models])
    columns: list[Column] = []
    places: list[int | None] = []
    before = -1
    for at in [*shown, len(spans)]:
        if at - before > 1:
            columns.append(Column("", left_out=at - before - 1))
            places.append(None)
        if at < len(spans):
            start, end = spans[at].tolist()
            columns.append(Column(context[start:end] or "␣", start))
            places.append(at)
        before = at
    return Strip(tuple(columns), tuple(_row(one, inside[one.name], places) for one in models))


def _shown(inside: Sequence[Inside]) -> list[int]:
    """The tokens where something happens, and those around them; at most `_MOST`, those with the highest first."""
    highest = np.max([np.maximum(one.starts, one.ends) for one in inside], axis=0)
    order = [at for at in np.argsort(-highest, kind="stable").tolist() if highest[at] >= _LEAST]
    kept: set[int] = set()
    for at in order or list(range(min(1, len(highest)))):
        wanted = range(max(0, at - _AROUND), min(len(highest), at + _AROUND + 1))
        if len(kept.union(wanted)) > _MOST:
            break
        kept.update(wanted)
    return sorted(kept)


def _row(model: Model, seen: Inside, places: Sequence[int | None]) -> Row:
    cells = tuple(None if at is None else _cell(float(seen.starts[at]), float(seen.ends[at])) for at in places)
    window = seen.windows[seen.won]
    characters = (window.start, window.end)
    share = seen.windows[seen.won].share
    return Row(model, cells, seen.won + 1, len(seen.windows), share, seen.null_probability, characters)


def _cell(start: float, end: float) -> Cell:
    return Cell(round(100 * start), round(100 * end), _heat(start), _heat(end))


def _heat(probability: float) -> int:
    """0 to 10; what is above nothing is seen."""
    return 0 if probability < 0.015 else max(1, round(10 * probability**0.5))
