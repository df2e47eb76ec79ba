"""What a method costs: counted without weights, the same as on the real model and in the file that it saves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cells import REFUSED

from spantune.errors import EncoderError, MethodError
from spantune.methods import methods
from spantune.modeling import Costs, costs_of, costs_of_all

# Sizes of the tiny BERT: width, inner width, layers.
D, F, N = 32, 64, 2


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
