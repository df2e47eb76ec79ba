"""How two ways are compared: in turns, block by block, so that a machine whose speed drifts slows both down.

A figure is a ratio of two neighbours in time, its median over all pairs and the lowest and highest of them. Absolute
seconds say more about the machine's other guests than about the code.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Work:
    """What one block did.

    Attributes:
        units: examples, windows, questions or floating-point operations, whichever the part counts.
        seconds: wall clock. flops: matrix products that the block needed, where they are counted.
    """

    units: float
    seconds: float
    flops: float = 0.0

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.seconds

    @property
    def flops_per_second(self) -> float:
        return self.flops / self.seconds


@dataclass(frozen=True)
class Ratio:
    """Median, lowest and highest over `pairs` pairs of neighbouring blocks."""

    median: float
    low: float
    high: float
    pairs: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """ValueError where there is none."""
        if not ratios:
            raise ValueError("a ratio needs at least one pair")
        return cls(statistics.median(ratios), min(ratios), max(ratios), len(ratios))


Block = Callable[[], Work]
Round = Mapping[str, Work]


def alternate(ways: Mapping[str, Block], *, rounds: int, seconds: float, warm_up: int = 1) -> list[dict[str, Work]]:
    """Run a block of every way each round: A B, then B A, and so on; what each block did.

    Args:
        rounds: at most so many. seconds: no round begins later than this, but one is always run.
        warm_up: rounds before them that are not counted (their time is).
    """
    began = time.perf_counter()
    for _ in range(warm_up):
        for block in ways.values():
            block()
    made: list[dict[str, Work]] = []
    while len(made) < rounds and (not made or time.perf_counter() - began < seconds):
        order = list(ways) if len(made) % 2 == 0 else list(ways)[::-1]
        done = {name: ways[name]() for name in order}
        made.append({name: done[name] for name in ways})
    return made


def compare(rounds: Sequence[Round], ours: str, theirs: str, rate: Callable[[Work], float] = lambda w: w.rate) -> Ratio:
    """How many times as fast `ours` is, pair by pair."""
    return Ratio.of([rate(one[ours]) / rate(one[theirs]) for one in rounds])


def rates(rounds: Sequence[Round]) -> dict[str, float]:
    """Units a second of every way, the median over its blocks: for the raw figures beside a ratio."""
    return {name: statistics.median(one[name].rate for one in rounds) for name in rounds[0]}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (above 0, up to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered) - 1e-9) - 1]


def timed(block: Callable[[], object], *, units: float, device: torch.device | None = None) -> Work:
    """The work of calling `block` once; the device's queue is empty before and after."""
    _drain(device)
    began = time.perf_counter()
    block()
    _drain(device)
    return Work(units, time.perf_counter() - began)


def _drain(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
