"""Our attention is PyTorch's scaled dot-product attention: same values, same gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spantune.modeling import build
from spantune.modeling.encoders import pretrained_network
from spantune.modeling.kernels.attention import NAME, SmallAttention

B, H, L, S, D = 2, 3, 5, 7, 4


def tensors(dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(B, H, rows, D, dtype=dtype, requires_grad=True) for rows in (L, S, S)]


def mask(kind: str | None) -> Tensor | None:
    if kind is None:
        return None
    seen = torch.ones(B, 1, L, S, dtype=torch.bool)
    seen[1, :, :, 4:] = False
    return seen


@pytest.mark.parametrize("kind", [None, "padding"])
def test_values_and_gradients_are_those_of_sdpa(kind: str | None) -> None:
    made = []
    for attend in (
        lambda q, k, v: SmallAttention.apply(q, k, v, mask(kind), D**-0.5),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, attn_mask=mask(kind)),
    ):
        given = tensors(torch.float32)
        out = attend(*given)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        made.append([out, *(one.grad for one in given)])
    for one, other in zip(*made, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [None, "padding"])
def test_the_gradient_is_the_numerical_one(kind: str | None) -> None:
    assert torch.autograd.gradcheck(
        lambda q, k, v: SmallAttention.apply(q, k, v, mask(kind), 0.7), tensors(torch.float64)
    )


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_frozen_gets_no_gradient(frozen: int) -> None:
    given = tensors(torch.float32)
    given[frozen].requires_grad_(False)
    SmallAttention.apply(*given, mask("padding"), 0.5).sum().backward()
    assert [one.grad is None for one in given] == [place == frozen for place in range(3)]


@pytest.mark.parametrize(("bf16", "rtol", "atol"), [(False, 1e-4, 1e-5), (True, 2e-2, 2e-2)])
def test_a_model_trains_and_answers_with_the_same_logits(
    bf16: bool, rtol: float, atol: float, tiny_encoder: Path, inputs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gradients the attention above runs in bf16; without them, and in fp32, PyTorch's does."""
    calls: list[torch.dtype] = []
    apply = SmallAttention.apply
    monkeypatch.setattr(
        SmallAttention, "apply", lambda query, *rest: (calls.append(query.dtype), apply(query, *rest))[1]
    )
    inputs = inputs_of(tiny_encoder)
    model = build(str(tiny_encoder), "prefix-tuning").eval()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        training = model(**inputs)
        assert set(calls) == ({torch.bfloat16} if bf16 else set())
        made = len(calls)
        with torch.no_grad():
            answering = model(**inputs)
    assert len(calls) == made
    real = inputs["attention_mask"].bool()
    for one, other in zip(training, answering, strict=True):
        assert one.requires_grad and not other.requires_grad
        torch.testing.assert_close(one[real], other[real], rtol=rtol, atol=atol)


@torch.no_grad()
def test_an_encoder_gives_what_the_stock_one_gives(tiny_encoder: Path, inputs_of: Any) -> None:
    network, inputs = pretrained_network(str(tiny_encoder)), inputs_of(tiny_encoder)
    assert network.config._attn_implementation == NAME
    ours = network(**inputs).start_logits
    for stock in ("sdpa", "eager"):
        network.set_attn_implementation(stock)
        torch.testing.assert_close(network(**inputs).start_logits, ours, rtol=1e-4, atol=1e-5)
