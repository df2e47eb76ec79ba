"""Families outside the table: what inspection finds, what the trial refuses; and the dropout rates of every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spantune.errors import EncoderError
from spantune.methods.architectures import ARCHITECTURES, LINEAR
from spantune.modeling import build
from spantune.modeling.architecture_detection import architecture_of, shape_of
from spantune.modeling.encoders import empty_network

SIZES: dict[str, Any] = {
    "vocab_size": 160,
    "hidden_size": 32,
    "embedding_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
SMALLER: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "mobilebert": {"true_hidden_size": 16, "intra_bottleneck_size": 16},
}


def config_of(family: str) -> Any:
    from transformers import AutoConfig

    sizes = dict(SIZES)
    if family == "distilbert":  # It has other names for these and refuses both.
        sizes = {key: size for key, size in SIZES.items() if not key.startswith(("hidden", "num", "intermediate"))}
    config = AutoConfig.for_model(family, **{**sizes, **SMALLER.get(family, {})})
    config.num_labels = 2
    return config


def encoder_on_disk(family: str, folder: Path) -> str:
    from transformers import AutoModel

    torch.manual_seed(0)
    AutoModel.from_config(config_of(family)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_inspection_finds_what_the_table_says(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is the truth to measure inspection by: where inspection dares to answer, it agrees."""
    network = empty_network(config_of(family))
    table = architecture_of(network)
    monkeypatch.delitem(ARCHITECTURES, family)  # type: ignore[arg-type]
    if family in ("albert", "mobilebert"):  # one layer used twice; several feed-forwards a layer
        with pytest.raises(EncoderError, match="inspection is unsure"):
            architecture_of(network)
        return
    with pytest.warns(UserWarning, match=family):
        found = architecture_of(network)
    for role in LINEAR:
        assert getattr(found, role) == getattr(table, role), role
    assert found.heads == table.heads and found.layer.endswith(table.layer.rpartition(".")[2])


@pytest.mark.parametrize("family", ["ernie", "deberta", "rembert", "data2vec-text", "jina_embeddings_v3"])
def test_an_unknown_family_works_and_the_warning_names_its_layers(family: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="found by inspection") as warned:
        model = build(encoder_on_disk(family, tmp_path), "lora", {"rank": 2})
    said = str(warned[0].message)
    row = model.architecture
    assert family in said and all(f"{role} {getattr(row, role)}" in said for role in LINEAR)
    assert "span head: qa_outputs" in said and f"positions: {row.positions}" in said
    adapted = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 2 * len({getattr(row, role) for role in LINEAR})


@pytest.mark.parametrize(
    ("family", "found"),
    [
        ("nystromformer", "padding changes the scores"),
        ("convbert", "padding changes the scores"),
        ("longformer", "it cannot score a few plain tokens"),
        ("mra", "the first token does not see the last"),
    ],
)
def test_a_family_that_fails_the_trial_is_refused(family: str, found: str, tmp_path: Path) -> None:
    encoder = encoder_on_disk(family, tmp_path)
    with (
        pytest.warns(UserWarning, match=family),
        pytest.raises(EncoderError, match=f"{family}.*a trial failed") as error,
    ):
        build(encoder, "head-only")
    assert found in str(error.value)


@pytest.mark.parametrize("family", ["xmod", "ibert"])
def test_a_family_whose_layers_are_unclear_is_refused(family: str) -> None:
    with pytest.raises(EncoderError, match=f"{family}.*inspection is unsure") as error:
        architecture_of(empty_network(config_of(family)))
    assert "add a row in methods/architectures.py" in str(error.value)


def test_the_trial_leaves_no_gradient_behind(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="ernie"):
        model = build(encoder_on_disk("ernie", tmp_path), "full")
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_two_dropout_rates_reach_every_dropout_of_the_encoder(family: str, tmp_path: Path) -> None:
    model = build(encoder_on_disk(family, tmp_path), "full", dropout=0.25, attention_dropout=0.125)
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert set(rates.values()) <= {0.25, 0.125}, rates
    silent = build(str(tmp_path), "full")
    assert all(module.p == 0 for module in silent.modules() if isinstance(module, nn.Dropout))


def test_the_shape_of_special_families() -> None:
    albert, mobile, modern = (shape_of(empty_network(config_of(one))) for one in ("albert", "mobilebert", "modernbert"))
    assert albert.layers == 1 and albert.hidden_size == 32, "one layer, used twice"
    assert mobile.attention_size == 16 and mobile.hidden_size == 32
    assert "ffn.*.intermediate.dense" in mobile.linears and mobile.linears["intermediate.dense"] == (16, 64)
    assert modern.attention_size == 32 and modern.linears["attn.Wqkv"] == (32, 96)
