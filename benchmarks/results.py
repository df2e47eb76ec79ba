"""What was measured: figures with their bars, as JSON and as a Markdown table that says on what it was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from benchmarks.measure import Ratio
from spantune.runs.environment import git_state, hardware, versions

FORMAT = 1
Unit = Literal["×", "%", "MB", "F1"]


@dataclass(frozen=True)
class Bar:
    """What a figure should reach: at least `value`, or at most."""

    value: float
    kind: Literal["at least", "at most"] = "at least"

    def met(self, measured: float) -> bool:
        return measured >= self.value if self.kind == "at least" else measured <= self.value


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: in words. value, low, high: median, lowest and highest of `pairs`; no spread where it was measured once.
        unit: `×` for a ratio, `%` for a share (value 0 to 100), `MB` for 10^6 bytes,
            `F1` for points of it.
        bar: what it should reach, where something was asked for. note: what a reader must know beside it.
    """

    what: str
    value: float
    unit: Unit = "×"
    low: float | None = None
    high: float | None = None
    pairs: int = 1
    bar: Bar | None = None
    note: str = ""

    @classmethod
    def ratio(cls, what: str, ratio: Ratio, *, bar: float | None = None, note: str = "") -> Figure:
        wanted = Bar(bar) if bar is not None else None
        return cls(what, ratio.median, "×", ratio.low, ratio.high, ratio.pairs, wanted, note)

    @classmethod
    def share(cls, what: str, ratio: Ratio, *, bar: float | None = None, note: str = "") -> Figure:
        """A ratio shown in per cent; `bar` is in per cent, too."""
        low, high = 100 * ratio.low, 100 * ratio.high
        return cls(what, 100 * ratio.median, "%", low, high, ratio.pairs, Bar(bar) if bar is not None else None, note)

    @property
    def met(self) -> bool | None:
        """None where nothing was asked for."""
        return self.bar.met(self.value) if self.bar is not None else None


@dataclass(frozen=True)
class Part:
    """The figures of one part, how long it took, and the raw numbers behind them."""

    name: str
    figures: tuple[Figure, ...]
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All parts with what they ran on."""

    parts: Sequence[Part]
    settings: Mapping[str, Any]
    precision: Mapping[str, str]
    """Arithmetic of the forward pass on each side."""
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "date": self.date,
            "versions": versions(),
            "hardware": hardware(),
            "git": git_state(),
            "precision": dict(self.precision),
            "settings": dict(self.settings),
            "parts": {part.name: _part_json(part) for part in self.parts},
        }

    def to_markdown(self) -> str:
        figures = [(part.name, figure) for part in self.parts for figure in part.figures]
        head = ("| Part | What | Measured | Spread | Bar | Met |", "|:---|:---|---:|:---|:---|:---|")
        lines = [*self._about(), "", *head]
        lines += [f"| {name} | {' | '.join(_cells(figure))} |" for name, figure in figures]
        notes = [f"- {name}, {figure.what}: {figure.note}" for name, figure in figures if figure.note]
        return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """`folder`/NAME.json and NAME.md; their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        raw, table = folder / f"{name}.json", folder / f"{name}.md"
        raw.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        table.write_text(self.to_markdown(), encoding="utf-8")
        return raw, table

    def _about(self) -> list[str]:
        machine, found, git = hardware(), versions(), git_state()
        memory = f", {machine['memory_bytes'] / 1e9:.0f} GB memory" if machine["memory_bytes"] else ""
        commit = f", commit {git['commit'][:10]}{' with changes' if git['dirty'] else ''}" if git else ""
        return [
            f"Measured {self.date[:10]} on {machine['cores']} cores of {machine['cpu']}{memory}"
            + (f", {machine['gpu']}" if "gpu" in machine else "") + f"{commit}.  ",
            f"Precision: {', '.join(f'{side} {kind}' for side, kind in self.precision.items())}.  ",
            f"Versions: {', '.join(f'{name} {number}' for name, number in found.items())}.  ",
            "Settings: " + ", ".join(f"{key} {self.settings[key]}" for key in ("model", "data", "batch_size")) + ".",
        ]  # fmt: skip


def _part_json(part: Part) -> dict[str, Any]:
    figures = [{**asdict(figure), "met": figure.met} for figure in part.figures]
    return {"seconds": round(part.seconds, 1), "figures": figures, "details": dict(part.details)}


def _cells(figure: Figure) -> tuple[str, ...]:
    spread = f"{_number(figure.low)} to {_number(figure.high)} ({figure.pairs})" if figure.low is not None else "once"
    bar = f"{figure.bar.kind} {_number(figure.bar.value)}{_suffix(figure)}" if figure.bar is not None else ""
    met = {None: "", True: "yes", False: "**no**"}[figure.met]
    return figure.what, f"{_number(figure.value)}{_suffix(figure)}", spread, bar, met


def _suffix(figure: Figure) -> str:
    return f" {figure.unit}" if figure.unit in ("MB", "F1") else figure.unit


def _number(value: float | None) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value is not None and abs(value) >= 100 else f"{value:.3g}"
