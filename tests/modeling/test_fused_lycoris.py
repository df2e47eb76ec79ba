"""The fused LoHa and LoKr layers are PEFT's: values, gradients, and where they step aside."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, PeftModel, get_peft_model
from peft.tuners.lycoris_utils import LycorisLayer
from torch import nn
from two_layers import Two, gradients

from spantune.modeling import build
from spantune.modeling.kernels.fused_lycoris import FusedLohaLinear, FusedLokrLinear, fuse

KINDS = {LoHaConfig: FusedLohaLinear, LoKrConfig: FusedLokrLinear}
BOTH = pytest.mark.parametrize("kind", KINDS)


def _pair(kind: Any, *, bias: bool = True, **settings: Any) -> tuple[PeftModel, PeftModel]:
    """PEFT's own model with a trained adapter, and the same one fused."""
    torch.manual_seed(0)
    config = kind(r=3, alpha=7, target_modules=["first", "second"], **settings)
    stock = get_peft_model(Two(bias=bias), config)  # type: ignore[arg-type]
    for weight in stock.parameters():
        if weight.requires_grad:
            nn.init.normal_(weight, std=0.5)
    fused = copy.deepcopy(stock)
    fuse(fused)
    assert sum(type(module) is KINDS[kind] for module in fused.modules()) == 2
    return stock, fused  # type: ignore[return-value]


@BOTH
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_pefts(kind: Any, bias: bool) -> None:
    stock, fused = _pair(kind, bias=bias)
    x = torch.randn(3, 5, 12)
    torch.testing.assert_close(fused(x), stock(x))
    with torch.no_grad():
        assert torch.equal(fused(x), stock(x)), "PEFT's own way where nothing learns"
    wanted, found = gradients(stock, x), gradients(fused, x)
    assert wanted.keys() == found.keys() and len(wanted) > 4
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


@BOTH
def test_frozen_weights_get_no_gradient(kind: Any) -> None:
    _, fused = _pair(kind)
    fused(torch.randn(2, 12)).sum().backward()
    assert all(weight.grad is None for name, weight in fused.named_parameters() if ".base_layer." in name)


@BOTH
def test_it_follows_merging_switching_off_and_a_second_adapter(kind: Any) -> None:
    stock, fused = _pair(kind)
    x = torch.randn(3, 12)
    with torch.no_grad():
        adapted = fused(x)
        with fused.disable_adapter():
            plain = fused(x)
            assert not torch.allclose(adapted, plain)
            with stock.disable_adapter():
                torch.testing.assert_close(plain, stock(x))
        for model in (stock, fused):
            torch.manual_seed(1)
            model.add_adapter("other", kind(r=2, target_modules=["first"], init_weights=False))
            model.base_model.set_adapter(["default", "other"])
        torch.testing.assert_close(fused(x), stock(x))
        assert not torch.allclose(fused(x), adapted)
        fused.base_model.set_adapter("default")
        fused.merge_adapter()
        torch.testing.assert_close(fused(x), adapted, rtol=1e-4, atol=1e-5)


@BOTH
@pytest.mark.parametrize("dropout", ["rank_dropout", "module_dropout"])
def test_dropout_is_left_to_peft(kind: Any, dropout: str) -> None:
    stock, fused = _pair(kind, **{dropout: 0.5})
    x = torch.randn(3, 12)
    for seed in range(4):
        made = []
        for model in (stock.train(), fused.train()):
            torch.manual_seed(seed)
            made.append(model(x))
        assert torch.equal(made[1], made[0])
    torch.testing.assert_close(fused.eval()(x), stock.eval()(x))


@pytest.mark.parametrize(("method", "kind"), [("loha", FusedLohaLinear), ("lokr", FusedLokrLinear)])
def test_a_built_model_runs_fused(tiny_bert: Path, method: str, kind: type) -> None:
    model = build(str(tiny_bert), method, {"rank": 4})
    layers = [type(module) for module in model.modules() if isinstance(module, LycorisLayer)]
    assert layers and set(layers) == {kind}
