"""LoHa's and LoKr's layers in one matrix product: `(W + dW) x` instead of PEFT's `W x + dW x`; the same function.

Their update `dW` is made as a whole matrix anyhow. Added to the weights before the product, it saves one of two
products on the way forward and one of three on the way back, for a sum over the weights. Only while it learns: a model
that answers may hold its encoder's weights rounded (`kernels.weight_casting`), and a sum would then round twice.

Shapes: T tokens of the batch, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from peft.tuners.loha.layer import Linear as LohaLinear
from peft.tuners.lokr.layer import Linear as LokrLinear
from peft.tuners.lycoris_utils import LycorisLayer
from torch import Tensor, nn
from torch.nn import functional


def fuse(network: nn.Module) -> None:
    """Let every plain LoHa and LoKr layer of a network run fused."""
    for module in network.modules():
        for plain, fused in _FUSED.items():
            if type(module) is plain:
                module.__class__ = fused


def _made(layer: LycorisLayer, x: Tensor, plain: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """(..., I) to (..., O), fused if one update of a linear layer learns; else PEFT's own."""
    adapter = None if args or kwargs or not torch.is_grad_enabled() else _the_only_one(layer)
    if adapter is None:
        return plain(x, *args, **kwargs)
    base = cast(nn.Linear, layer.base_layer)
    return functional.linear(x, base.weight + layer.get_delta_weight(adapter), base.bias)


def _the_only_one(layer: LycorisLayer) -> str | None:
    """The active adapter, if only one update of a linear layer, without dropout, is needed."""
    active = layer.active_adapters
    if len(active) != 1 or active[0] not in layer._available_adapters or layer.disable_adapters or layer.merged:
        return None
    name = active[0]
    dropped = layer.rank_dropout[name] or layer.module_dropout[name]
    return None if dropped or type(layer.base_layer) is not nn.Linear else name


class FusedLohaLinear(LohaLinear):
    """PEFT's LoHa layer in one product (Hyeon-Woo et al. 2022, section 2.2)."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., I) to (..., O)."""
        return _made(self, x, super().forward, *args, **kwargs)


class FusedLokrLinear(LokrLinear):
    """PEFT's LoKr layer in one product (Yeh et al. 2024, section 3)."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., I) to (..., O)."""
        return _made(self, x, super().forward, *args, **kwargs)


_FUSED: dict[type[nn.Module], type[nn.Module]] = {LohaLinear: FusedLohaLinear, LokrLinear: FusedLokrLinear}
