"""Where stock transformers and PEFT can load what is saved here, they give the same logits; and why we do not use more.

The tables in docs/design.md say which library loads what and how. The first part reads them and does just that. The
second part documents what PEFT's own question-answering class gets wrong. When one of those tests fails, PEFT has been
mended, and the rule in `modeling.span_model` can be reconsidered.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tiny import ANSWERING
from torch import Tensor, nn

from spantune.errors import MethodError
from spantune.methods import methods
from spantune.modeling import SpanModel, build, load_tokenizer, save
from spantune.modeling.save_load import WEIGHTS

PAGE = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
FAMILIES = (
    "bert",
    *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("distilbert", "roberta", "albert", "modernbert")),
)
# Cells of which there is nothing to save; the contract tests assert the message.
REFUSED = {("bitfit", "modernbert")}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
AWAY = 1e-2
"""What a method must change in the logits for their sameness to mean anything."""


@torch.no_grad()
def logits_of(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Of our model or a stock one."""
    made = model.eval()(**inputs)
    return torch.stack([made.start, made.end] if isinstance(model, SpanModel) else [made.start_logits, made.end_logits])


def inputs_for(encoder: Path) -> dict[str, Tensor]:
    """Three windows of up to 14 tokens, padded as the encoder pads, with segment ids where it has segments."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(encoder)
    ids = torch.randint(5, 150, (3, 14), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(14) < torch.tensor([14, 9, 11])[:, None]).long()
    inputs = {"input_ids": ids.masked_fill(mask == 0, config.pad_token_id), "attention_mask": mask}
    if config.model_type in ("bert", "albert"):
        inputs["token_type_ids"] = mask * (torch.arange(14) >= 5)
    return inputs


def moved(encoder: Path, method: str) -> SpanModel:
    """A model whose every learning weight was moved."""
    model = build(str(encoder), method, {"layers": 1} if method == "top-layers" else {})
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=chance)
    return model.eval()


def stock(encoder: Path) -> Any:
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.from_pretrained(encoder)


class Saved(NamedTuple):
    encoder: Path
    inputs: dict[str, Tensor]
    folder: Path
    logits: Tensor


@pytest.fixture(scope="module")
def saved(tiny_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Saved]:
    """A moved model of a method on a family, saved."""
    made: dict[tuple[str, str], Saved] = {}

    def make(method: str, family: str) -> Saved:
        if (method, family) not in made:
            encoder, folder = tiny_of(family), tmp_path_factory.mktemp(f"{method}-{family}")
            model, inputs = moved(encoder, method), inputs_for(encoder)
            save(model, folder, settings=ANSWERING, tokenizer=load_tokenizer(str(encoder)))
            made[method, family] = Saved(encoder, inputs, folder, logits_of(model, inputs))
        return made[method, family]

    return make


# The first table: the way that each method's row names


def rows_of(table: str) -> list[list[str]]:
    """Cells of a table of the page, found by its first header."""
    lines = PAGE.partition(f"| {table} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


class Row(NamedTuple):
    way: str
    same: bool


TABLE = {
    name: Row(quoted(way)[0], same == "yes") for names, way, same, _ in rows_of("Saved by") for name in quoted(names)
}


def from_pretrained(encoder: Path, folder: Path) -> Any:
    return stock(folder)


def load_state_dict(encoder: Path, folder: Path) -> Any:
    from safetensors.torch import load_file

    network = stock(encoder)
    network.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    return network


def by_peft(encoder: Path, folder: Path, **more: Any) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(stock(encoder), str(folder), **more)


WAYS: dict[str, Callable[[Path, Path], Any]] = {
    "AutoModelForQuestionAnswering.from_pretrained": from_pretrained,
    "load_state_dict": load_state_dict,
    "PeftModel.from_pretrained": by_peft,
}


def test_the_table_names_every_method_once() -> None:
    named = [name for names, *_ in rows_of("Saved by") for name in quoted(names)]
    assert sorted(named) == sorted(methods()), "docs/design.md, PEFT and question answering"
    assert all(re.fullmatch("yes|no", same) for _, _, same, _ in rows_of("Saved by"))


# PEFT loads them as it loads LoRA.
ALIKE = ("rslora", "loha", "lokr", "miss", "road", "delora", "hra", "oft", "fourierft")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "method", [pytest.param(one, marks=[pytest.mark.exhaustive] if one in ALIKE else []) for one in methods()]
)
def test_the_stock_way_gives_what_the_table_says(method: str, family: str, saved: Any) -> None:
    if (method, family) in REFUSED:
        with pytest.raises(MethodError):
            saved(method, family)
        return
    encoder, inputs, folder, logits = saved(method, family)
    row = TABLE[method]
    torch.manual_seed(99)  # what is not loaded would be drawn anew
    loaded = WAYS[row.way](encoder, folder)
    assert (logits_of(build(str(encoder), "head-only"), inputs) - logits).abs().max() > AWAY
    if not row.same:
        assert (logits_of(loaded, inputs) - logits).abs().max() > AWAY
        return
    torch.testing.assert_close(logits_of(loaded, inputs), logits, **CLOSE)
    if "token_type_ids" in inputs:
        other = {**inputs, "token_type_ids": 1 - inputs["token_type_ids"]}
        assert (logits_of(loaded, other) - logits).abs().max() > AWAY / 10, "segment ids reach the encoder"
    if methods()[method].mergeable:
        torch.testing.assert_close(logits_of(loaded.merge_and_unload(), inputs), logits, rtol=1e-4, atol=5e-5)


# The second table: other ways for the same adapters


def by_itself(encoder: Path, folder: Path) -> Any:
    from peft import AutoPeftModel

    return AutoPeftModel.from_pretrained(str(folder))


def second(encoder: Path, folder: Path) -> Any:
    model = by_peft(encoder, folder)
    model.load_adapter(str(folder), "second")
    model.set_adapter("second")
    return model


OTHER_WAYS: dict[str, Callable[[Path, Path], Any]] = {
    "AutoPeftModel.from_pretrained(folder)": by_itself,
    "AutoModelForQuestionAnswering.from_pretrained(folder)": from_pretrained,
    "PeftModel.load_adapter": second,
    "PeftModel.from_pretrained": lambda encoder, folder: by_peft(encoder, folder, low_cpu_mem_usage=True),
}
BY_PEFT = [name for name, row in TABLE.items() if row == Row("PeftModel.from_pretrained", True)]
# Those that the table names, and some that it does not.
SHORT = ("dora", "vera", "lora", "adalora")


def test_the_second_table_names_every_other_way() -> None:
    assert {quoted(way)[0] for way, *_ in rows_of("Another way")} == OTHER_WAYS.keys()


@pytest.mark.parametrize(
    "method", [pytest.param(one, marks=() if one in SHORT else pytest.mark.exhaustive) for one in BY_PEFT]
)
@pytest.mark.parametrize("way", OTHER_WAYS)
def test_another_way_gives_what_the_table_says(way: str, method: str, saved: Any) -> None:
    others, refused = next((cells[1], cells[2]) for cells in rows_of("Another way") if quoted(cells[0])[0] == way)
    encoder, inputs, folder, logits = saved(method, "bert")
    torch.manual_seed(99)
    if method in quoted(refused):
        with pytest.raises((ValueError, RuntimeError)):
            OTHER_WAYS[way](encoder, folder)
        return
    loaded = logits_of(OTHER_WAYS[way](encoder, folder), inputs)
    assert torch.allclose(loaded, logits, **CLOSE) == (method not in quoted(others))


# What a folder holds


def test_stock_transformers_loads_a_fully_tuned_models_tokenizer(saved: Any, tiny_tokenizer: Any) -> None:
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(saved("full", "bert").folder).get_vocab() == tiny_tokenizer.get_vocab()


def test_a_merged_adapter_is_a_stock_model(tiny_encoder: Path, inputs_of: Any, tmp_path: Path) -> None:
    inputs = inputs_of(tiny_encoder)
    model = moved(tiny_encoder, "lora")
    before = logits_of(model, inputs)
    model.merge().network.save_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(stock(tmp_path), inputs), before, **CLOSE)


@pytest.mark.parametrize("method", [name for name, row in TABLE.items() if row.way == "PeftModel.from_pretrained"])
@pytest.mark.parametrize("family", FAMILIES[:2])
def test_an_adapter_is_saved_in_pefts_format(method: str, family: str, saved: Any) -> None:
    from peft import PeftConfig
    from safetensors.torch import load_file

    encoder, _, folder, _ = saved(method, family)
    config = PeftConfig.from_pretrained(folder)
    assert config.base_model_name_or_path == str(encoder) and config.inference_mode
    assert config.task_type is None, "QUESTION_ANS would choose the class that drops segment ids"
    state = load_file(folder / WEIGHTS)
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
