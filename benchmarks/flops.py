"""How many floating-point operations a training step needs, whatever an implementation spends.

A matrix product of (m, k) and (k, n) costs 2·m·k·n. For a window of L real tokens:

- forward: 2·L·in·out for every linear layer (an adapter's own ones included) and 4·L·(L + V)·D·H for the two products
  of each attention with V virtual tokens;
- backward, once more the forward's cost for each of an operand's gradients that is needed: of a weight, where it
  learns; of an input, where something below it learns. Full fine-tuning so needs 3 times its forward pass, a method
  that leaves the encoder frozen about twice, and nothing below its first trainable weight.

So a window costs `fixed + linear·L + quadratic·L²`. The three numbers are not derived from a list of layers: they are
read off the matrix products that autograd runs on the stock model (eager attention, PEFT's adapter, no padding) for
three lengths. Everything that is no matrix product (normalisation, activations, softmax, embeddings) counts as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks import usual_recipe

_LENGTHS = (16, 32, 48)


@dataclass(frozen=True)
class StepCost:
    """Floating-point operations of forward and backward over a window of L tokens."""

    fixed: float
    linear: float
    quadratic: float

    def of(self, lengths: Iterable[int]) -> float:
        """Of all windows together."""
        tokens = np.asarray(list(lengths), dtype=np.float64)
        return float(self.fixed * len(tokens) + self.linear * tokens.sum() + self.quadratic * (tokens**2).sum())


def step_cost(model: str, method: str) -> StepCost:
    """What a step of `method` on the encoder `model` needs."""
    network = usual_recipe.load_model(model, method, attention="eager").train()
    counted = [_counted(network, length) for length in _LENGTHS]
    quadratic, linear, fixed = np.linalg.solve(np.vander(_LENGTHS, 3).astype(np.float64), np.array(counted)).tolist()
    return StepCost(fixed, linear, quadratic)


def _counted(network, length: int) -> float:  # type: ignore[no-untyped-def]
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.full((1, length), network.config.vocab_size - 1)
    place = torch.tensor([1])
    with FlopCounterMode(display=False) as counter:
        network(
            input_ids=ids, attention_mask=torch.ones_like(ids), start_positions=place, end_positions=place
        ).loss.backward()
    network.zero_grad()
    return float(counter.get_total_flops())
