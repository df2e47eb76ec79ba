"""Where stock transformers and PEFT can load what is saved here, they give the same logits; and why we do not use more.

The second part documents what PEFT's own question-answering class gets wrong. When one of those tests fails, PEFT has
been mended, and the rule in `modeling.span_model` can be reconsidered.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spantune.modeling import SpanModel, build, save
from spantune.modeling.storage import WEIGHTS


@torch.no_grad()
def logits_of(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Of our model or a stock one."""
    made = model.eval()(**inputs)
    return torch.stack([made.start, made.end] if isinstance(model, SpanModel) else [made.start_logits, made.end_logits])


def moved(encoder: Path, method: str) -> SpanModel:
    """A model whose every learning weight was moved."""
    model = build(str(encoder), method)
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=chance)
    return model


def stock(encoder: Path) -> Any:
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.from_pretrained(encoder)


@pytest.mark.parametrize("method", ["lora", "loha", "ia3"])
def test_stock_peft_loads_the_adapter(
    method: str, tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path
) -> None:
    from peft import PeftModel

    inputs = inputs_of(tiny_encoder)
    model = moved(tiny_encoder, method)
    save(model, tmp_path, settings={}, tokenizer=tiny_tokenizer)
    loaded = PeftModel.from_pretrained(stock(tiny_encoder), tmp_path)
    torch.testing.assert_close(logits_of(loaded, inputs), logits_of(model, inputs), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits_of(stock(tiny_encoder), inputs), logits_of(model, inputs), atol=1e-2)
    if "token_type_ids" in inputs:
        other = {**inputs, "token_type_ids": 1 - inputs["token_type_ids"]}
        assert not torch.allclose(logits_of(loaded, other), logits_of(loaded, inputs), atol=1e-3)
        torch.testing.assert_close(logits_of(loaded, other), logits_of(model, other), rtol=1e-5, atol=1e-5)


def test_stock_transformers_loads_a_fully_tuned_model(
    tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    inputs = inputs_of(tiny_encoder)
    model = moved(tiny_encoder, "full")
    save(model, tmp_path, settings={}, tokenizer=tiny_tokenizer)
    torch.testing.assert_close(logits_of(stock(tmp_path), inputs), logits_of(model, inputs), rtol=1e-5, atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == tiny_tokenizer.get_vocab()


def test_a_merged_adapter_is_a_stock_model(tiny_encoder: Path, inputs_of: Any, tmp_path: Path) -> None:
    inputs = inputs_of(tiny_encoder)
    model = moved(tiny_encoder, "lora")
    before = logits_of(model, inputs)
    model.merge().network.save_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(stock(tmp_path), inputs), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "loha", "ia3", "prefix-tuning", "prompt-encoder"])
def test_an_adapter_is_saved_in_pefts_format(
    method: str, tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path
) -> None:
    from peft import PeftConfig
    from safetensors.torch import load_file

    save(build(str(tiny_encoder), method), tmp_path, settings={}, tokenizer=tiny_tokenizer)
    config = PeftConfig.from_pretrained(tmp_path)
    assert config.base_model_name_or_path == str(tiny_encoder) and config.inference_mode
    assert config.task_type is None, "QUESTION_ANS would choose the class that drops segment ids"
    state = load_file(tmp_path / WEIGHTS)
    assert any("qa_outputs" in name for name in state) and not any(torch.isnan(one).any() for one in state.values())


# What PEFT's question-answering class gets wrong.


def of_peft(encoder: Path, **more: Any) -> Any:
    from peft import LoraConfig, PromptEncoderConfig, get_peft_model

    kinds = {"lora": LoraConfig, "prompt-encoder": PromptEncoderConfig}
    config = kinds[more.pop("method")](task_type="QUESTION_ANS", **more)
    return get_peft_model(stock(encoder), copy.deepcopy(config))


def test_pefts_question_answering_class_drops_segment_ids(tiny_bert: Path, inputs_of: Any) -> None:
    inputs = inputs_of(tiny_bert)
    model = of_peft(tiny_bert, method="lora", target_modules=["query", "value"])
    other = {**inputs, "token_type_ids": 1 - inputs["token_type_ids"]}
    assert torch.equal(logits_of(model, inputs), logits_of(model, other))
    ours = build(str(tiny_bert), "lora")
    assert not torch.allclose(logits_of(ours, inputs), logits_of(ours, other), atol=1e-3)


def test_pefts_prompt_makes_the_logits_longer_than_the_labels(tiny_bert: Path, inputs_of: Any) -> None:
    inputs = inputs_of(tiny_bert)
    model = of_peft(tiny_bert, method="prompt-encoder", num_virtual_tokens=5, encoder_hidden_size=16)
    assert logits_of(model, inputs).shape == (2, 3, 14 + 5)
    assert logits_of(build(str(tiny_bert), "prompt-encoder", {"length": 5}), inputs).shape == (2, 3, 14)


def test_peft_cannot_make_a_prompt_for_distilbert(tiny_distilbert: Path) -> None:
    with pytest.raises(ValueError, match="token_dim"):
        of_peft(tiny_distilbert, method="prompt-encoder", num_virtual_tokens=5)
    assert build(str(tiny_distilbert), "prompt-encoder").reserved_positions == 20
