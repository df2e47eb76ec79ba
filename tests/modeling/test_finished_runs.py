"""A finished run as the encoder that another training begins with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ANSWERING
from torch import Tensor

from spantune import zoo
from spantune.errors import EncoderError, RunError
from spantune.modeling import SpanModel, build, load, load_tokenizer, save
from spantune.modeling.encoders import load_config

Inputs = Callable[[Path], dict[str, Tensor]]


def run_of(method: str, encoder: str, folder: Path, tokenizer: Any) -> SpanModel:
    """A run folder of a model that has learned something, and the model."""
    model = build(encoder, method).eval()
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=chance)
    save(model, folder / "adapter", settings=ANSWERING, tokenizer=tokenizer)
    return model


@pytest.mark.parametrize("method", ["lora", "ia3", "bitfit", "full"])
def test_it_begins_where_the_run_ended(
    method: str, tiny_bert: Path, tiny_tokenizer: Any, inputs_of: Inputs, tmp_path: Path
) -> None:
    run = run_of(method, str(tiny_bert), tmp_path / "run", tiny_tokenizer)
    inputs = inputs_of(tiny_bert)
    begun = build(str(tmp_path / "run"), "full", dropout=0.1).eval()
    for found, wanted in zip(begun(**inputs), run(**inputs), strict=True):
        torch.testing.assert_close(found, wanted)
    assert begun.count_parameters().share == 1.0
    assert begun.config.hidden_dropout_prob == 0.1
    assert any(isinstance(one, torch.nn.Dropout) and one.p == 0.1 for one in begun.modules())
    assert load_tokenizer(str(tmp_path / "run")).get_vocab() == tiny_tokenizer.get_vocab()
    assert load_config(str(tmp_path / "run")).num_labels == 2


def test_an_adapter_on_a_run_is_loaded_again(
    tiny_bert: Path, tiny_tokenizer: Any, inputs_of: Inputs, tmp_path: Path
) -> None:
    run_of("lora", str(tiny_bert), tmp_path / "first", tiny_tokenizer)
    second = run_of("ia3", str(tmp_path / "first"), tmp_path / "second", tiny_tokenizer)
    assert {name for name, one in second.named_parameters() if one.requires_grad and "lora" in name} == set()
    inputs = inputs_of(tiny_bert)
    for found, wanted in zip(load(tmp_path / "second" / "adapter").model(**inputs), second(**inputs), strict=True):
        torch.testing.assert_close(found, wanted)


def test_it_is_another_encoder(tiny_bert: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    run_of("lora", str(tiny_bert), tmp_path / "run", tiny_tokenizer)
    plain, begun = build(str(tiny_bert), "lora"), build(str(tmp_path / "run"), "lora")
    assert plain.identity.encoder_fingerprint != begun.identity.encoder_fingerprint
    assert begun.identity.model == str(tmp_path / "run")


@pytest.mark.parametrize("method", ["prefix-tuning", "bottleneck"])
def test_what_cannot_be_merged(method: str, tiny_bert: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    run_of(method, str(tiny_bert), tmp_path / "run", tiny_tokenizer)
    with pytest.raises(EncoderError, match="cannot be an encoder to begin with") as raised:
        build(str(tmp_path / "run"), "lora")
    assert "cannot be merged" in (raised.value.found or "")


def test_one_of_the_zoo(
    tiny_bert: Path, tiny_tokenizer: Any, inputs_of: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    run = run_of("lora", str(tiny_bert), tmp_path / "lora", tiny_tokenizer)
    (tmp_path / "lora" / "record.json").write_text("{}")
    begun = build("zoo/lora", "lora").eval()
    assert begun.identity.model == "zoo/lora"
    inputs = inputs_of(tiny_bert)
    torch.testing.assert_close(begun(**inputs).start, run(**inputs).start)
    with pytest.raises(RunError, match="no adapter 'zoo/loar'"):
        build("zoo/loar", "lora")
