"""Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751): small networks after layers of a frozen encoder.

PEFT has none, and the `adapters` library needs transformers 4, so forward hooks insert them. Each is a submodule of the
layer that it follows, which gives its weights names such as `LAYER.bottleneck.down.weight`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from spantune.methods import Bottleneck

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "bottleneck"


class BottleneckAdapter(nn.Module):
    """`x + up(act(down(x)))` on the last dimension D, inner width `size`; it begins as the identity."""

    def __init__(self, width: int, size: int, activation: str) -> None:
        from transformers.activations import ACT2FN

        super().__init__()
        self.down, self.act, self.up = nn.Linear(width, size), ACT2FN[activation], nn.Linear(size, width)
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.up(self.act(self.down(hidden)))


def insert(network: PreTrainedModel, wanted: Bottleneck) -> None:
    """Insert an adapter after each layer that `wanted.pattern` matches."""
    pattern = re.compile(wanted.pattern)
    layers = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(name)
    ]  # fmt: skip
    for layer in layers:
        made = BottleneckAdapter(layer.out_features, wanted.size, wanted.activation)
        layer.add_module(NAME, made.to(layer.weight.device))
        layer.register_forward_hook(_through_the_bottleneck)


def _through_the_bottleneck(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    through: Tensor = layer.get_submodule(NAME)(output)
    return through
