"""Weights stored as autocast rounds them. That no logit changes is in the contract of every method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cells import SMALL
from torch import Tensor, nn

from spantune.modeling import SpanModel, build
from spantune.modeling.kernels.weight_casting import cast_linear_weights, linear_weights_cast

OWN_ARITHMETIC = {"dora"}
"""Methods that compute with the encoder's weights themselves."""


@torch.inference_mode()
def logits_of(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return torch.stack(list(model(**inputs)))


def moved(encoder: Path, method: str) -> SpanModel:
    """As if it had learned."""
    model, chance = build(str(encoder), method, SMALL.get(method, {})).eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=chance)
    return model


def linear_bytes(model: SpanModel) -> int:
    layers = [one for one in model.modules() if type(one) is nn.Linear]
    return sum(weight.nbytes for layer in layers for weight in layer.parameters(recurse=False))


def test_why_some_methods_are_left_out(tiny_bert: Path, inputs_of: Callable[[Path], dict[str, Tensor]]) -> None:
    """Their logits would change: the trait is no excuse."""
    for method in OWN_ARITHMETIC:
        model, inputs = moved(tiny_bert, method), inputs_of(tiny_bert)
        before = logits_of(model, inputs)
        for name, weight in model.named_parameters():
            if name.endswith(".base_layer.weight"):
                weight.data = weight.data.to(torch.bfloat16)
        assert not torch.equal(logits_of(model, inputs), before)


def test_merged_weights_are_the_encoders_own(tiny_bert: Path, inputs_of: Callable[[Path], dict[str, Tensor]]) -> None:
    model: Any = moved(tiny_bert, "dora").merge()
    before = logits_of(model, inputs_of(tiny_bert))
    assert cast_linear_weights(model, torch.bfloat16) > 0
    assert torch.equal(logits_of(model, inputs_of(tiny_bert)), before)


def test_a_model_gets_its_own_weights_back(tiny_bert: Path, inputs_of: Callable[[Path], dict[str, Tensor]]) -> None:
    model, inputs = moved(tiny_bert, "lora"), inputs_of(tiny_bert)
    before, held = logits_of(model, inputs), linear_bytes(model)
    places = {name: weight.data_ptr() for name, weight in model.named_parameters()}
    with pytest.raises(ZeroDivisionError), linear_weights_cast(model, torch.bfloat16):
        assert linear_bytes(model) < held
        assert torch.equal(logits_of(model, inputs), before)
        raise ZeroDivisionError
    assert {name: weight.data_ptr() for name, weight in model.named_parameters()} == places
    assert linear_bytes(model) == held


def test_in_inference_mode_a_model_can_learn_afterwards(tiny_bert: Path) -> None:
    model = build(str(tiny_bert), "full")
    with torch.inference_mode(), linear_weights_cast(model, torch.bfloat16):
        pass
    sum(weight.sum() for weight in model.parameters()).backward()  # type: ignore[union-attr]


def test_in_fp32_nothing_is_cast(tiny_bert: Path) -> None:
    model = build(str(tiny_bert), "lora")
    held = linear_bytes(model)
    with linear_weights_cast(model, torch.float32):
        assert linear_bytes(model) == held
