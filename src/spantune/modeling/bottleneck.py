"""Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751): small networks behind layers of a frozen encoder.

PEFT has none, and the `adapters` library needs transformers 4, so they are put in by forward hooks. Each is a submodule
of the layer behind which it stands, so that its weights have a name of their own: `LAYER.bottleneck.down.weight`.
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
    """Put an adapter behind each layer that `wanted.pattern` matches."""
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


def _through_the_bottleneck(layer: nn.Module, given: Any, made: Tensor) -> Tensor:
    through: Tensor = layer.get_submodule(NAME)(made)
    return through
