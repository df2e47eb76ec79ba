"""Every family of the table takes every method: a light contract for those beyond BERT and DistilBERT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spantune.errors import MethodError
from spantune.methods import methods
from spantune.methods.architectures import ARCHITECTURES
from spantune.modeling import build, load, save
from spantune.modeling.encoders import shape_of

# RoBERTa's classes under another name: only what depends on the name (positions) is tried.
TWINS = ("xlm-roberta", "camembert")
CASES = [
    (family, method)
    for family in ARCHITECTURES
    for method in methods()
    if family not in ("bert", "distilbert") and (family not in TWINS or method == "prompt-encoder")
]
SMALL = {"prefix-tuning": {"length": 3}, "prompt-encoder": {"length": 3, "network_size": 8}}


@pytest.fixture(scope="module")
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Any) -> Path:
    """A random encoder of one family, as small as the others."""
    from transformers import AutoConfig, AutoModel

    sizes = {
        "vocab_size": len(tiny_tokenizer),
        "hidden_size": 32,
        "embedding_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "initializer_range": 0.2,
        "pad_token_id": 1 if ARCHITECTURES[request.param].segment_ids is False else 0,
    }
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    AutoModel.from_config(AutoConfig.for_model(request.param, **sizes)).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("encoder", "method"), CASES, indirect=["encoder"])
@torch.no_grad()
def test_every_family_takes_every_method(method: str, encoder: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    options = SMALL.get(method, {})
    model = build(str(encoder), method, options).eval()
    row = shape_of(model.config).architecture
    ids = torch.randint(6, 150, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 9:], mask[1, 9:] = model.config.pad_token_id, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if row.segment_ids:
        inputs["token_type_ids"] = (torch.arange(12) >= 4).long().expand(2, -1) * mask
    logits = torch.stack(list(model(**inputs)))
    assert logits.shape == (2, 2, 12) and torch.isfinite(logits).all()

    # What is not padding stays as it is without the padding.
    short = {key: tensor[1:, :9] for key, tensor in inputs.items()}
    torch.testing.assert_close(torch.stack(list(model(**short))), logits[:, 1:, :9], rtol=1e-4, atol=1e-5)
    if row.segment_ids:
        swapped = torch.stack(list(model(**{**inputs, "token_type_ids": 1 - inputs["token_type_ids"]})))
        assert not torch.allclose(swapped, logits, atol=1e-3)

    save(model, tmp_path, settings={}, tokenizer=tiny_tokenizer)
    again = torch.stack(list(load(tmp_path).model(**inputs)))
    torch.testing.assert_close(again, logits, rtol=1e-6, atol=1e-6)
    if model.method.mergeable:
        torch.testing.assert_close(torch.stack(list(model.merge()(**inputs))), logits, rtol=1e-5, atol=1e-5)
    else:
        with pytest.raises(MethodError):
            model.merge()

    # The longest window that the model promises to take.
    longest = {key: tensor[:, :1].expand(-1, model.max_length).contiguous() for key, tensor in inputs.items()}
    assert build(str(encoder), method, options).eval()(**longest).start.shape == (2, model.max_length)
