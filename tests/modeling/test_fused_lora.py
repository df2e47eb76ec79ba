"""The fused LoRA layer is PEFT's LoRA layer: values, gradients, and where it steps aside."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from two_layers import Two, gradients

from spantune.modeling.kernels import fused_lora
from spantune.modeling.kernels.fused_lora import FusedLoraLinear, fuse


def _stock(*, bias: bool = True, **settings: Any) -> PeftModel:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=10, target_modules=["first", "second"], **settings)
    model = get_peft_model(Two(bias=bias), config)  # type: ignore[arg-type]
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight)
    return model  # type: ignore[return-value]


def _fused(stock: PeftModel) -> PeftModel:
    made = copy.deepcopy(stock)
    fuse(made)
    return made


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_pefts(bias: bool) -> None:
    stock = _stock(bias=bias)
    fused, x = _fused(stock), torch.randn(3, 5, 12)
    torch.testing.assert_close(fused(x), stock(x))
    with torch.no_grad():
        torch.testing.assert_close(fused(x), stock(x))
    wanted, found = gradients(stock, x), gradients(fused, x)
    assert wanted.keys() == found.keys()
    assert len(wanted) == 5  # two pairs and the input
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_the_gradient_is_right_by_finite_differences() -> None:
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    a, b = (torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in ((2, 5), (7, 2)))

    def product(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return fused_lora._LoraProduct.apply(x, weight, bias, a, b, 2.5, torch.float64, True)

    assert torch.autograd.gradcheck(product, (x, a, b), eps=1e-3, atol=1e-4)


def test_under_autocast_it_is_as_exact_as_pefts() -> None:
    """Against fp32, the error of bf16 is no larger than the stock layer's, but for chance."""
    stock = _stock()
    fused, x = _fused(stock), torch.randn(64, 12)
    exact = gradients(copy.deepcopy(stock), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert fused(x).dtype is torch.bfloat16
        rough = {model: gradients(model, x) for model in (stock, fused)}
    for name, gradient in exact.items():
        ours, theirs = ((rough[model][name] - gradient).norm() / gradient.norm() for model in (fused, stock))
        assert ours < theirs + 2**-8, name  # the rounding of one number in bf16


def test_nothing_frozen_gets_a_gradient_and_an_input_that_needs_none_costs_none() -> None:
    fused = _fused(_stock())
    fused(torch.randn(2, 12)).sum().backward()
    assert {name.split(".")[-3] for name, one in fused.named_parameters() if one.grad is not None} == {
        "lora_A",
        "lora_B",
    }


@pytest.mark.parametrize(
    "case", ["dropout", "dora", "lora_bias", "merged", "disabled", "trainable base"], ids=lambda one: str(one)
)
def test_it_steps_aside_for_everything_else(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"dropout": {"lora_dropout": 0.5}, "dora": {"use_dora": True}, "lora_bias": {"lora_bias": True}}
    stock = _stock(**settings.get(case, {}))  # type: ignore[arg-type]
    fused = _fused(stock)
    for model in (stock, fused):
        if case == "merged":
            model.merge_adapter()
        if case == "disabled":
            model.base_model.disable_adapter_layers()  # type: ignore[operator]
        if case == "trainable base":
            for name in ("first.base_layer.weight", "second.base_layer.bias"):
                model.base_model.get_parameter(f"model.{name}").requires_grad = True
    monkeypatch.setattr(fused_lora, "_LoraProduct", None)  # whoever takes the fused way fails
    x = torch.randn(4, 12)
    torch.manual_seed(1)
    wanted = stock(x)
    torch.manual_seed(1)
    assert torch.equal(fused(x), wanted)


def test_only_plain_layers_are_fused_and_they_stay_pefts() -> None:
    fused = _fused(_stock())
    layers = [one for one in fused.modules() if isinstance(one, Linear)]
    assert [type(one) for one in layers] == [FusedLoraLinear] * 2
    merged = copy.deepcopy(fused).merge_and_unload()
    x = torch.randn(2, 12)
    torch.testing.assert_close(merged(x), fused(x))
    assert not [one for one in merged.modules() if isinstance(one, Linear)]
