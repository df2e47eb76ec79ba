"""LoRA's layer in the fewest matrix products and passes over the activations; the same function as PEFT's.

PEFT computes `W x + b`, `A x`, `B A x`, a product with the scale and a sum, each a tensor of its own that autocast
casts and autograd takes apart again. Here the update is added by the matrix product that makes it, in both directions,
and the input is cast once.

Shapes: T tokens of the batch, I inputs, O outputs, R ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn


def fuse(network: nn.Module) -> None:
    """Let every plain LoRA layer of a network run fused; variants of LoRA are of other kinds and stay as they are."""
    for module in network.modules():
        if type(module) is Linear:
            module.__class__ = FusedLoraLinear


class FusedLoraLinear(Linear):
    """PEFT's LoRA layer, fused if one plain update of a frozen linear layer is active."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., I) to (..., O)."""
        adapter = None if args or kwargs else self._the_plain_one(x)
        if adapter is None:
            made: Tensor = super().forward(x, *args, **kwargs)
            return made
        layer: nn.Linear = self.base_layer  # type: ignore[assignment]
        weights = (self.lora_A[adapter].weight, self.lora_B[adapter].weight)
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        with torch.autocast(kind, enabled=False):
            fused: Tensor = _LoraProduct.apply(
                x, layer.weight, layer.bias, *weights, self.scaling[adapter], dtype, torch.is_grad_enabled()
            )
        return fused

    def _the_plain_one(self, x: Tensor) -> str | None:
        """The active adapter, if only plain LoRA on a frozen layer is needed."""
        active = self.active_adapters
        if len(active) != 1 or self.disable_adapters or self.merged or x.device.type not in ("cpu", "cuda"):
            return None
        name, layer = active[0], self.base_layer
        plain = (
            name in self.lora_A
            and name not in self.lora_variant
            and isinstance(self.lora_dropout[name], nn.Identity)
            and self.lora_B[name].bias is None
            and type(layer) is nn.Linear
            and not self.fan_in_fan_out
            and not any(weight.requires_grad for weight in layer.parameters())
        )
        return name if plain else None


class _LoraProduct(torch.autograd.Function):
    """`x W^T + b + s (x A^T) B^T` with frozen W and b (Hu et al. 2022, section 4.1), all products in one type."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
        dtype: torch.dtype,
        learns: bool,
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(dtype)  # (T, I)
        weight, a, b = weight.to(dtype), a.to(dtype), (b * scale).to(dtype)  # (O, I), (R, I), (O, R)
        out = rows @ weight.t() if bias is None else torch.addmm(bias.to(dtype), rows, weight.t())
        low = rows @ a.t()  # (T, R)
        # In place only in training: the counter of floating-point operations (`costs`) does not see `addmm_`.
        out = out.addmm_(low, b.t()) if learns else torch.addmm(out, low, b.t())
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scale, ctx.shape, ctx.dtype = scale, x.shape, x.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        rows, weight, a, b, low = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1]).to(weight.dtype)  # (T, O)
        grad_low = grad @ b
        grad_a = (grad_low.t() @ rows).float()
        grad_b = (grad.t() @ low).float().mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_low, a).to(ctx.dtype).view(ctx.shape)
        return grad_x, None, None, grad_a, grad_b, None, None, None
