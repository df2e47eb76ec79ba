"""A batch worked off in parts, with the gradient of the whole: to bound memory, and to keep every core busy.

An operation on a small encoder is over before two cores have shared it out well, and waits for the slower one. So on a
CPU the two halves of a batch go through the model side by side, each on its own half of the cores: nothing waits but
the end of the step. Python's lock makes more than two useless for small encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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
        widest = max(range(len(parts)), key=lambda one: (_size(parts[one]) > 1, _padded(lengths, parts[one])))
        parts[widest : widest + 1] = _halved(lengths, parts[widest])
    return parts


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def _padded(lengths: Sequence[int], part: slice) -> int:
    return max(lengths[part]) * _size(part)


def _halved(lengths: Sequence[int], part: slice) -> list[slice]:
    """Where the larger of both halves is the smallest."""
    cuts = [(slice(part.start, at), slice(at, part.stop)) for at in range(part.start + 1, part.stop)]
    return list(min(cuts, key=lambda halves: max(_padded(lengths, half) for half in halves)))


def sides(model: nn.Module, device: torch.device) -> int:
    """How many parts of a batch may be computed at the same time: 1 where it would not help, or not be repeatable.

    Dropout draws from one source of random numbers, and who draws first would be chance.
    """
    random = any(rate > 0 for module in model.modules() for rate in _dropout_rates(module))
    return SIDES if device.type == "cpu" and torch.get_num_threads() >= SIDES and not random else 1


def _dropout_rates(module: nn.Module) -> list[float]:
    """Those that the module draws by itself; PEFT keeps them by adapter."""
    rates = [module.p] if isinstance(module, nn.Dropout) else []
    for name in ("dropout", "dropout_p", "dropout_prob", "attention_dropout", "rank_dropout", "module_dropout"):
        value = vars(module).get(name)
        rates += [one for one in (value.values() if isinstance(value, dict) else [value]) if isinstance(one, float)]
    return rates


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
    """For the length of a training; None where parts go one after another."""
    count = sides(model, device)
    if count == 1:
        yield None
        return
    together = SideBySide(count, "side")
    try:
        yield Gradients([weight for weight in model.parameters() if weight.requires_grad], together)
    finally:
        together.close()
