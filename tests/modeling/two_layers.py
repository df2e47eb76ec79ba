"""Two linear layers to put adapters into, and every gradient of what they compute."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Two(nn.Module):
    """(..., 12) to (..., 6)."""

    def __init__(self, *, bias: bool = True) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 20, bias=bias), nn.Linear(20, 6, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Of a loss that weighs every output differently; the input's under ''."""
    x = x.clone().requires_grad_()
    out = model(x)
    (out.float() * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {**found, "": x.grad}  # type: ignore[dict-item]
