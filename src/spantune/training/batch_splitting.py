"""A batch computed in parts, with the gradient of the whole: to bound memory, and to keep every core busy.

An operation on a small encoder is too short to be divided well between two cores. So on a CPU the two halves of a batch
go through the model side by side, each on its own half of the cores: only the end of the step waits. Python's lock
makes more than two useless for small encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spantune.modeling.kernels.threads import SideBySide

SIDES = 2
"""Parts of a batch that are computed at the same time."""


def split(lengths: Sequence[int], *, max_tokens: int, at_least: int = 1) -> list[slice]:
    """Cut a batch into parts of neighbouring windows, each padded to its own longest one.

    Args:
        lengths: tokens of each window. max_tokens: most tokens of a part, padding included; a window that is longer
            than this is a part of its own. at_least: how many parts, where there are as many windows.
    """
    parts, first = [], 0
    for place in range(1, len(lengths) + 1):
        if place == len(lengths) or max(lengths[first : place + 1]) * (place + 1 - first) > max_tokens:
            parts.append(slice(first, place))
            first = place
    while len(parts) < min(at_least, len(lengths)):
        several = [at for at, part in enumerate(parts) if part.stop - part.start > 1]
        place = max(several, key=lambda at: _padded(lengths, parts[at]))
        begin, end = parts[place].start, parts[place].stop
        cuts = [(slice(begin, at), slice(at, end)) for at in range(begin + 1, end)]
        parts[place : place + 1] = min(cuts, key=lambda halves: max(_padded(lengths, half) for half in halves))
    return parts


def _padded(lengths: Sequence[int], part: slice) -> int:
    return max(lengths[part]) * int(part.stop - part.start)


def sides(model: nn.Module, device: torch.device) -> int:
    """How many parts of a batch may be computed at the same time: 1 if it would not help, or not be repeatable.

    Dropout draws from one source of random numbers, and who draws first would be chance.
    """
    able = device.type == "cpu" and torch.get_num_threads() >= SIDES
    return SIDES if able and not any(map(_has_dropout, model.modules())) else 1


def _has_dropout(module: nn.Module) -> bool:
    """Whether the module itself drops anything; PEFT keeps the rates by adapter."""
    rates: list[Any] = [module.p] if isinstance(module, nn.Dropout) else []
    for name, value in vars(module).items():
        if "dropout" in name:
            rates += value.values() if isinstance(value, dict) else [value]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


class Gradients:
    """Computes the gradients of several losses at the same time, and sums them in their order: twice the same result.

    Args:
        weights: those that learn. together: the threads, as many as losses at once.
    """

    def __init__(self, weights: Sequence[nn.Parameter], together: SideBySide) -> None:
        self.weights, self._pool = list(weights), together.pool

    def backward(self, losses: Sequence[Callable[[], Tensor]]) -> Tensor:
        """Add the gradients of all losses to the weights', as `backward` does; their sum."""
        values, gradients = zip(*self._pool.map(self._of_one, losses), strict=True)
        for weight, parts in zip(self.weights, zip(*gradients, strict=True), strict=True):
            for part in parts:
                if part is not None:
                    weight.grad = part if weight.grad is None else weight.grad.add_(part)
        return torch.stack(values).sum()

    def _of_one(self, loss: Callable[[], Tensor]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        value = loss()
        return value.detach(), torch.autograd.grad(value, self.weights, allow_unused=True)


@contextmanager
def side_by_side(model: nn.Module, device: torch.device) -> Iterator[Gradients | None]:
    """For the length of a training; None if parts go one after another."""
    count = sides(model, device)
    if count == 1:
        yield None
        return
    together = SideBySide(count, "side")
    try:
        yield Gradients([weight for weight in model.parameters() if weight.requires_grad], together)
    finally:
        together.close()
