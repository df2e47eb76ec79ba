"""Virtual tokens: prefixes reach every layer and move nothing; a prompt takes positions of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ANSWERING
from torch import Tensor, nn

from spantune.answering.window_rules import window_rules
from spantune.config import WindowConfig
from spantune.errors import ConfigError, MethodError
from spantune.methods import get
from spantune.modeling import SpanModel, build, load, save
from spantune.modeling.architecture_detection import shape_of
from spantune.modeling.prompt_tokens import virtual_tokens

V, N = 5, 2


@torch.no_grad()
def logits_of(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(model.eval()(**inputs)))


def positions_of(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    """The position ids that the encoder looks up."""
    seen: list[Tensor] = []
    (table,) = [one for name, one in model.network.named_modules() if name.endswith("embeddings.position_embeddings")]
    hook = table.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    try:
        logits_of(model, inputs)
    finally:
        hook.remove()
    return seen[0]


def test_each_layers_prefix_changes_the_logits(tiny_encoder: Path, inputs_of: Any) -> None:
    model, inputs = build(str(tiny_encoder), "prefix-tuning", {"length": V}), inputs_of(tiny_encoder)
    before, weight = logits_of(model, inputs), model.virtual.prefix.embedding.weight
    layers = weight.data.view(V, N, 2, -1)
    for layer in range(N):
        for part in range(2):  # keys, values
            kept = layers[:, layer, part].clone()
            layers[:, layer, part] += torch.randn(kept.shape, generator=torch.Generator().manual_seed(0))
            assert not torch.allclose(logits_of(model, inputs), before, atol=1e-3), (layer, part)
            layers[:, layer, part] = kept
    assert torch.equal(logits_of(model, inputs), before)


def test_a_prefix_takes_its_share_of_the_attention(tiny_encoder: Path, inputs_of: Any) -> None:
    """Queries of zero look at all keys alike; of 14 + V values the prefix's, which are zero, take their share away."""
    inputs = {key: tensor[:1] for key, tensor in inputs_of(tiny_encoder).items()}
    models = [build(str(tiny_encoder), method) for method in ("prefix-tuning", "head-only")]
    length = models[0].method.resolve({}).length
    models[0].virtual.prefix.embedding.weight.data.zero_()
    for model in models:
        for name, weight in model.network.named_parameters():
            if ".query." in name or ".q_lin." in name:
                weight.data.zero_()
    with_prefix, without = (outputs_of_first_attention(model, inputs) for model in models)
    torch.testing.assert_close(with_prefix, without * 14 / (14 + length), rtol=1e-5, atol=1e-6)


def outputs_of_first_attention(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    """What goes into the first layer's output projection, (1, L, D)."""
    seen: list[Tensor] = []
    names = ("attention.output.dense", "attention.out_lin")
    first = next(module for name, module in model.network.named_modules() if name.endswith(names))
    hook = first.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    try:
        logits_of(model, inputs)
    finally:
        hook.remove()
    return seen[0]


def test_a_prefix_moves_no_position(tiny_encoder: Path, inputs_of: Any) -> None:
    inputs = inputs_of(tiny_encoder)
    model = build(str(tiny_encoder), "prefix-tuning", {"length": V})
    plain = build(str(tiny_encoder), "head-only")
    assert torch.equal(positions_of(model, inputs), positions_of(plain, inputs))
    assert model.max_length == plain.max_length == 64 and model.reserved_positions == 0


def test_a_prefix_begins_with_real_keys_and_values(tiny_encoder: Path) -> None:
    """Not with noise: the encoder's own keys and values of some tokens (Li and Liang 2021, section 7.4)."""
    model = build(str(tiny_encoder), "prefix-tuning", {"length": V})
    weight = model.virtual.prefix.embedding.weight
    names = {f"layer.0.{path}" for path in ("attention.self.key", "attention.k_lin")}
    seen: list[Tensor] = []
    key = next(one for name, one in model.network.named_modules() if any(name.endswith(path) for path in names))
    hook = key.register_forward_hook(lambda module, given, made: seen.append(made))
    virtual_tokens(
        get("prefix-tuning").inject(get("prefix-tuning").resolve({"length": V}), shape_of(model.network)), model.network
    )
    hook.remove()
    torch.testing.assert_close(weight.view(V, N, 2, -1)[:, 0, 0], seen[0][0])


def test_a_prompt_takes_the_last_positions_and_the_input_keeps_its_own(tiny_encoder: Path, inputs_of: Any) -> None:
    inputs = inputs_of(tiny_encoder)
    model = build(str(tiny_encoder), "prompt-encoder", {"length": V})
    plain = positions_of(build(str(tiny_encoder), "head-only"), inputs)
    positions = positions_of(model, inputs)
    assert positions[0].tolist() == [*range(64 - V, 64), *plain[0].tolist()]
    assert model.reserved_positions == V and model.max_length == 64 - V


def test_windows_that_overlap_a_prompt_are_refused(tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any) -> None:
    model = build(str(tiny_encoder), "prompt-encoder", {"length": V})
    assert window_rules(WindowConfig(59, 8), tiny_tokenizer, longest=model.max_length, segment_ids=True)
    with pytest.raises(ConfigError, match="max-length of at most 59"):
        window_rules(WindowConfig(60, 8), tiny_tokenizer, longest=model.max_length, segment_ids=True)
    longest = {key: tensor[:, :1].expand(-1, 59) for key, tensor in inputs_of(tiny_encoder).items()}
    assert logits_of(model, longest).shape == (2, 3, 59)


def test_a_prompt_of_two_segments_is_of_the_first(tiny_bert: Path, inputs_of: Any) -> None:
    model = build(str(tiny_bert), "prompt-encoder", {"length": V})
    made = model.virtual.prepend(model.network, inputs_of(tiny_bert))
    assert made["token_type_ids"][:, :V].sum() == 0 and made["attention_mask"][:, :V].min() == 1


@pytest.mark.parametrize("family", ["mpnet", "deberta-v2"])
def test_a_deep_prefix_refuses_an_encoder_that_would_ignore_it(family: str, tiny_of: Callable[[str], Path]) -> None:
    """These compute attention by themselves, so a prefix would silently do nothing there."""
    message = rf"cannot reach every layer of this encoder \({family}\)"
    with pytest.raises(MethodError, match=message) as raised:
        build(str(tiny_of(family)), "prefix-tuning", {"length": V})
    assert "0 calls" in str(raised.value) and "choose another method" in str(raised.value)


def test_adapters_on_one_encoder_do_not_disturb_each_other(
    tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path
) -> None:
    """Models with and without a prefix, side by side in one process, give what each gives alone."""
    inputs = inputs_of(tiny_encoder)
    cases = [("prefix-tuning", {"length": 3}), ("prefix-tuning", {"length": 7}), ("lora", {}), ("head-only", {})]
    alone = []
    for number, (method, options) in enumerate(cases):
        model = build(str(tiny_encoder), method, options, seed=number)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad:
                    weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
        save(model, tmp_path / str(number), settings=ANSWERING, tokenizer=tiny_tokenizer)
        alone.append(logits_of(model, inputs))
    loaded = [load(tmp_path / str(number)).model for number in range(len(cases))]
    together = [logits_of(model, inputs) for model in reversed(loaded)][::-1]
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)
    assert len({str(one) for one in alone}) == len(cases)


def test_learning_moves_the_prefix_and_the_prompt(tiny_encoder: Path, inputs_of: Any) -> None:
    for method in ("prefix-tuning", "prompt-encoder"):
        model = build(str(tiny_encoder), method, {"length": V})
        sum(logits.pow(2).sum() for logits in model.train()(**inputs_of(tiny_encoder))).backward()
        learned = [weight for weight in model.virtual.parameters()]
        assert learned and all(isinstance(weight, nn.Parameter) and weight.grad.abs().sum() > 0 for weight in learned)
