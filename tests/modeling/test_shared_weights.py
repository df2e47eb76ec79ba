"""Many adapters over one encoder: one copy of what none changed, and each still answers as it does alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spantune.errors import MethodError
from spantune.methods import methods
from spantune.modeling import SpanModel, build
from spantune.modeling.shared_weights import frozen, share_encoder


@torch.no_grad()
def logits_of(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(model.eval()(**inputs)))


def small(method: str) -> dict[str, Any]:
    """Ranks that fit the tiny encoders."""
    known = {"rank": 4, "start_rank": 6, "length": 5, "layers": 1}
    return {key: value for key, value in known.items() if key in methods()[method].options.__dataclass_fields__}


def moved(encoder: Path, method: str, number: int) -> SpanModel:
    model = build(str(encoder), method, small(method), seed=number)
    chance = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=chance)
    return model.eval()


KEPT = [name for name, method in methods().items() if not method.whole_encoder]
"""Every method that leaves some of the encoder as it is."""


def models(encoder: Path, *names: str) -> dict[str, SpanModel]:
    return {name: moved(encoder, name, KEPT.index(name)) for name in names}


def test_all_methods_on_one_encoder_answer_as_each_alone(tiny_encoder: Path, inputs_of: Any) -> None:
    inputs, zoo = inputs_of(tiny_encoder), models(tiny_encoder, *KEPT)
    alone = {name: logits_of(model, inputs) for name, model in zoo.items()}
    share_encoder(list(zoo.values()))
    for name in reversed(zoo):
        assert torch.equal(logits_of(zoo[name], inputs), alone[name]), name
    assert len({str(one) for one in alone.values()}) == len(zoo), "they differ"


def test_what_nobody_changed_is_there_once(tiny_encoder: Path) -> None:
    lora, ia3 = models(tiny_encoder, "lora", "ia3").values()
    bytes_of_one = sum(weight.numel() * 4 for weight in frozen(ia3).values())
    assert share_encoder([lora, ia3]) == bytes_of_one
    assert share_encoder([lora, ia3]) == 0, "nothing is left to share"
    assert {one.data_ptr() for one in frozen(lora).values()} == {one.data_ptr() for one in frozen(ia3).values()}


def test_what_a_method_changed_stays_its_own(tiny_encoder: Path) -> None:
    """PiSSA takes the principal part out of each weight: only what lies outside the adapted layers can be shared."""
    lora, pissa = models(tiny_encoder, "lora", "pissa").values()
    share_encoder([lora, pissa])
    shared = {name for name, weight in frozen(pissa).items() if weight.data_ptr() == frozen(lora)[name].data_ptr()}
    adapted = {name.partition(".lora_A")[0] for name, _ in pissa.named_parameters() if ".lora_A." in name}
    own = {f"{pissa.plain_name(name)}.weight" for name in adapted}
    assert own and shared == frozen(pissa).keys() - own


def test_learning_on_a_shared_encoder_moves_no_other_model(tiny_encoder: Path, inputs_of: Any) -> None:
    inputs = inputs_of(tiny_encoder)
    # One of each way to change an encoder: beside its weights, in them, behind its layers, before its input.
    zoo = models(tiny_encoder, "lora", "bitfit", "bottleneck", "prefix-tuning", "prompt-encoder")
    share_encoder(list(zoo.values()))
    before = {name: logits_of(model, inputs) for name, model in zoo.items()}
    for name, learner in zoo.items():
        learning = [weight for weight in learner.parameters() if weight.requires_grad]
        sum(logits.square().sum() for logits in learner.train()(**inputs)).backward()
        torch.optim.SGD(learning, lr=1e-3).step()
        changed = {other for other, model in zoo.items() if not torch.equal(logits_of(model, inputs), before[other])}
        assert changed == {name}
        before[name] = logits_of(learner, inputs)


def test_merging_one_leaves_the_others_alone(tiny_encoder: Path, inputs_of: Any) -> None:
    inputs, zoo = inputs_of(tiny_encoder), models(tiny_encoder, *KEPT)
    share_encoder(list(zoo.values()))
    before = {name: logits_of(model, inputs) for name, model in zoo.items()}
    for model in zoo.values():
        if model.method.mergeable:
            model.merge()
        else:
            with pytest.raises(MethodError):
                model.merge()
    for name, model in zoo.items():
        torch.testing.assert_close(logits_of(model, inputs), before[name], rtol=1e-5, atol=1e-5)
