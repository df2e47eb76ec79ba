"""What a method costs: counted without weights, the same as on the real model and in the file that it saves."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from cells import NAMES, REFUSED, SMALL, VARIANTS
from tiny import ANSWERING
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spantune.errors import EncoderError, MethodError
from spantune.methods import methods
from spantune.methods.architectures import ARCHITECTURES
from spantune.modeling import Costs, SpanModel, build, costs_of, costs_of_all, load, load_tokenizer, save
from spantune.modeling.costs import TOKENS, WINDOWS

# Where something lies otherwise than in BERT.
SHORT = ("albert", "deberta-v2", "modernbert", "mobilebert")
# Their products are LoRA's or none, or those of another method here.
ALIKE = (
    *("rslora", "miss", "delora", "fourierft", "pissa", "lokr", "road"),
    *("bitfit", "layernorm", "top-layers", "prompt-tuning", "lora+query-value", "bottleneck+pfeiffer"),
)


def _case(name: str, family: str, *, short: bool) -> Any:
    return pytest.param(name, family, marks=() if short else pytest.mark.exhaustive)


# Everything on BERT; what lies otherwise in the other families with a method of each kind of file.
CASES = [
    *(_case(name, "bert", short=name not in ALIKE) for name in NAMES),
    *(_case("lora", family, short=family in SHORT) for family in ARCHITECTURES if family != "bert"),
    *(("prompt-encoder", "roberta"), ("prompt-encoder", "deberta-v2"), ("prompt-encoder", "modernbert")),
    *(("full", "albert"), ("vera", "modernbert"), ("bottleneck", "mobilebert")),
]
# Sizes of the tiny BERT: width, inner width, layers.
D, F, N = 32, 64, 2


def _call(name: str) -> tuple[str, dict[str, Any]]:
    return VARIANTS.get(name, (name, SMALL.get(name, {})))


def _bytes_of_tensors(folder: Path) -> int:
    """What the weights take in the safetensors files of a folder, without their headers."""
    total = 0
    for file in folder.glob("*.safetensors"):
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        described = json.loads(content[8 : 8 + length])
        described.pop("__metadata__", None)
        assert {tensor["dtype"] for tensor in described.values()} == {"F32"}
        total += len(content) - 8 - length
    return total


def _matrix_products(model: SpanModel, tokens: int) -> int:
    """Of a batch with mask and segment ids, through the real weights."""
    ids = torch.randint(5, 100, (WINDOWS, tokens), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.sends_segment_ids:
        inputs["token_type_ids"] = (torch.arange(tokens) > 4).long().expand(WINDOWS, -1)
    # The fused kernel of the CPU is not among those that are counted.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.eval()(**inputs)
    return counter.get_total_flops()


@cache
def _plain(encoder: str, tokens: int) -> int:
    return _matrix_products(build(encoder, "head-only"), tokens)


@pytest.mark.parametrize(("name", "family"), CASES)
def test_costs_are_those_of_the_real_model(
    name: str, family: str, tiny_of: Callable[[str], Path], tmp_path: Path
) -> None:
    encoder = str(tiny_of(family))
    method, options = _call(name)
    counted = costs_of(encoder, method, options)
    model = build(encoder, method, options)
    save(model, tmp_path, settings=ANSWERING, tokenizer=load_tokenizer(encoder))
    assert counted.parameters == model.count_parameters()
    assert counted.saved_bytes == _bytes_of_tensors(tmp_path)
    tokens = min(TOKENS, model.max_length)
    assert counted.forward == _matrix_products(load(tmp_path).model, tokens) / _plain(encoder, tokens)


def test_forward_of_lora_is_the_papers(tiny_bert: Path) -> None:
    rank, tokens = 4, 64
    linear = N * (4 * D * D + 2 * D * F)
    plain = 2 * tokens * (linear + 2 * N * tokens * D + 2 * D)  # attention: Q K^T and its product with V; the head
    added = 2 * tokens * N * rank * (4 * (D + D) + 2 * (D + F))
    assert costs_of(str(tiny_bert), "lora", {"rank": rank}).forward == pytest.approx(1 + added / plain, rel=1e-9)


@pytest.mark.parametrize("name", ["full", "head-only", "layernorm", "ia3", "road"])
def test_methods_that_add_no_product(name: str, tiny_bert: Path) -> None:
    assert costs_of(str(tiny_bert), name).forward == 1.0


def test_a_prefix_and_a_prompt_cost_what_their_tokens_cost(tiny_bert: Path) -> None:
    none, few, many = (costs_of(str(tiny_bert), "prefix-tuning", {"length": v}).forward for v in (1, 5, 20))
    assert 1 < none < few < many < costs_of(str(tiny_bert), "prompt-tuning", {"length": 20}).forward
    made, direct = (costs_of(str(tiny_bert), name, {"length": 5}) for name in ("prompt-encoder", "prompt-tuning"))
    assert (made.forward, made.saved_bytes) == (direct.forward, direct.saved_bytes), "the network is folded away"
    assert made.parameters.trainable > direct.parameters.trainable


def test_all_methods_on_one_encoder(tiny_of: Callable[[str], Path]) -> None:
    found = costs_of_all(str(tiny_of("modernbert")))
    assert list(found) == list(methods())
    refused = {name: error for name, error in found.items() if not isinstance(error, Costs)}
    small = {name for name, family in REFUSED if family == "modernbert"}
    assert small <= refused.keys() and isinstance(refused["bitfit"], MethodError)
    assert refused["bitfit"].problem.startswith("BitFit finds nothing to train")
    head_only, full = found["head-only"], found["full"]
    assert isinstance(head_only, Costs) and isinstance(full, Costs)
    assert head_only.saved_bytes == 4 * head_only.parameters.trainable
    assert full.saved_bytes == 4 * full.parameters.total > head_only.saved_bytes


def test_no_weights_are_needed(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_bert / "config.json", tmp_path)
    assert costs_of(str(tmp_path), "lora", {"rank": 4}) == costs_of(str(tiny_bert), "lora", {"rank": 4})


def test_mistakes(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="did you mean 'lora'"):
        costs_of(str(tiny_bert), "lorra")
    with pytest.raises(MethodError, match="rank: expected 1 to 1024, found 0"):
        costs_of(str(tiny_bert), "lora", {"rank": 0})
    with pytest.raises(MethodError, match="the rank is larger than the layers are wide"):
        costs_of(str(tiny_bert), "lora", {"rank": 64})
    with pytest.raises(EncoderError, match="cannot be loaded"):
        costs_of_all(str(tmp_path))
