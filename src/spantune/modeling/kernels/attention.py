"""The attention of every encoder, registered with transformers' AttentionInterface.

It does two things that the stock one does not: it puts a prefix of learned keys and values before the real ones, and
it trains faster in bf16 on a CPU, where PyTorch's fused kernel is built for long sequences and wide heads and its
backward pass costs more than all the matrix products of a small encoder.

Shapes: B batch, L queries, S keys (a prefix included), H heads, D head width, V virtual tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

NAME = "spantune"
PREFIX, RECORD = "spantune_prefix", "spantune_record"
LAYER = "_spantune_layer"


def register() -> None:
    """Make `NAME` known to transformers; masks are those of scaled dot-product attention (True: seen)."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention as transformers calls it: (B, H, L, D) in, (B, L, H, D) out.

    Keyword arguments of ours, handed through the model's forward: `spantune_prefix` (layers, 2, H, V, D) puts the
    layer's keys and values first; `spantune_record` is a list that takes (module, key, value).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefix: Tensor | None = kwargs.pop(PREFIX, None)
    record: list[tuple[nn.Module, Tensor, Tensor]] | None = kwargs.pop(RECORD, None)
    if record is not None:
        record.append((module, key, value))
    if prefix is not None:
        key, value, attention_mask = _with_prefix(prefix[getattr(module, LAYER)], key, value, attention_mask)
    if _small_training_step(query, attention_mask, kwargs):
        scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
        # The backward pass runs outside autocast, so that all of its operands must have one type from the start.
        query, key, value = (part.to(torch.bfloat16) for part in (query, key, value))
        attended: Tensor = SmallAttention.apply(query, key, value, attention_mask, scaling)
        return attended.transpose(1, 2), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


def _with_prefix(
    prefix: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keys, values (B, H, V + S, D) and mask with the prefix (2, H, V, D) in front, which every token sees."""
    batch, own = key.shape[0], prefix.to(key.dtype)
    key = torch.cat([own[0].expand(batch, -1, -1, -1), key], dim=2)
    value = torch.cat([own[1].expand(batch, -1, -1, -1), value], dim=2)
    if mask is not None:
        seen = mask.new_full((), 1 if mask.dtype == torch.bool else 0)
        mask = torch.cat([seen.expand(*mask.shape[:-1], own.shape[2]), mask], dim=-1)
    return key, value, mask


def _small_training_step(query: Tensor, mask: Tensor | None, kwargs: dict[str, Any]) -> bool:
    """Whether the plain matrix products below are right and faster than the fused kernel: in bf16 by 1.3 to 1.4 times,
    not in fp32."""
    autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    return (
        query.device.type == "cpu"
        and autocast is torch.bfloat16
        and torch.is_grad_enabled()
        and not kwargs.get("dropout")
        and (mask is None or mask.dtype == torch.bool)
    )


class SmallAttention(torch.autograd.Function):
    """softmax(scaling * Q K^T) V with its gradient, in matrix products and one pass over the weights.

    The gradient of the scores is P * (dO V^T - rowsum(dO * O)) (Dao et al. 2022, FlashAttention, appendix B.2): no
    softmax backward kernel, which is the slow part of the composed version.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float
    ) -> Tensor:
        scores = torch.matmul(query * scaling, key.transpose(2, 3))
        if mask is not None:
            scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        out = torch.matmul(weights, value)
        ctx.save_for_backward(query, key, value, weights, out)
        ctx.scaling = scaling  # type: ignore[attr-defined]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, weights, out = ctx.saved_tensors
        grad_value = torch.matmul(weights.transpose(2, 3), grad) if ctx.needs_input_grad[2] else None
        rows = (grad.float() * out.float()).sum(dim=-1, keepdim=True).to(grad.dtype)
        scores = torch.matmul(grad, value.transpose(2, 3)).sub_(rows).mul_(weights)
        grad_query = torch.matmul(scores, key).mul_(ctx.scaling) if ctx.needs_input_grad[0] else None
        grad_key = torch.matmul(scores.transpose(2, 3), query).mul_(ctx.scaling) if ctx.needs_input_grad[1] else None
        return grad_query, grad_key, grad_value, None, None
