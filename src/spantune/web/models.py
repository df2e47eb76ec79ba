"""The models that answer, as the pages and the API know them before they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spantune.runs import RunRecord

if TYPE_CHECKING:
    from spantune.answering.model_panel import Panel

LOOKS = 14
"""Classes of marks in the style sheet: the seven colours of the plots, each with two patterns."""


def look_of(place: int) -> str:
    """The style sheet's class for the marks of a method."""
    return f"method-{place % LOOKS}"


@dataclass(frozen=True)
class Model:
    """One of the models that answer.

    Attributes:
        name: what the API calls it; unique. folder: of the run, or of its adapter.
        label: the method as people write it. number: its place among the models.
        squad_v2: whether it may answer nothing. record: of its run; None for an adapter without one.
        method: its name; "" if it is unknown. place: that of its colour and pattern; default: its number.
        language: of MLQA's rules, by which its run was scored; None for the official rule.
        fault: why it cannot answer, known before it is loaded; "" where nothing is known.
    """

    name: str
    folder: Path
    label: str
    number: int
    squad_v2: bool = False
    record: RunRecord | None = None
    method: str = ""
    place: int | None = None
    language: str | None = None
    fault: str = ""

    @property
    def look(self) -> str:
        """The style sheet's class for its marks."""
        return look_of(self.number if self.place is None else self.place)


class PanelSource(Protocol):
    """The models that are served, known before they are loaded; `load` raises where none can answer."""

    @property
    def models(self) -> tuple[Model, ...]: ...

    @property
    def broken(self) -> Mapping[str, str]:
        """Why some of them cannot answer, by name; whole once they are loaded."""
        ...

    def load(self) -> Panel: ...
