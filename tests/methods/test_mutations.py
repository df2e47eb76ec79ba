"""The proofs that the contract can fail: each breaks one rule by hand and sees the promise go red, family by family."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import contract
import pytest
import torch
from cells import REFUSED, WITH_SEGMENTS, Cell
from torch import Tensor, nn

from spantune.answering import batches
from spantune.methods.architectures import ARCHITECTURES
from spantune.modeling import SpanLogits, SpanModel, save_load

CellOf = Callable[[str, str], Cell]
UNBROKEN = SpanModel.forward
# The other families are for `make test-all`.
SHORT = ("bert",)


def cases(*names: str, leave_out: Collection[str | tuple[str, str]] = ()) -> list[Any]:
    """Each family, or each of the methods on each family."""
    made = [(family,) if not names else (name, family) for family in ARCHITECTURES for name in names or ("",)]
    return [
        pytest.param(*one, marks=() if one[-1] in SHORT else pytest.mark.exhaustive)
        for one in made
        if one not in leave_out and one[-1] not in leave_out
    ]


families = pytest.mark.parametrize("family", cases())


def is_red(promise: Callable[..., None], *given: Any) -> bool:
    """Whether a promise is broken; any other error than its own is let through."""
    try:
        promise(*given)
    except AssertionError:
        return True
    return False


# The forward rule


def drop_segment_ids(self: SpanModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Any = None) -> Any:
    """What PEFT's question-answering class does."""
    return UNBROKEN(self, input_ids, attention_mask)


def keep_virtual_tokens(self: SpanModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Any = None) -> Any:
    """What PEFT's question-answering class does: logits V longer, labels unshifted."""
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if token_type_ids is not None:
        inputs["token_type_ids"] = token_type_ids
    scored = self.network(**self.virtual.prepend(self.network, inputs))
    return SpanLogits(scored.start_logits, scored.end_logits)


def crop_at_the_wrong_end(self: SpanModel, input_ids: Tensor, *rest: Any, **more: Any) -> Any:
    """(B, L) again, but every label points V tokens too far to the left."""
    made = keep_virtual_tokens(self, input_ids, *rest, **more)
    return SpanLogits(*(logits[:, : input_ids.shape[1]] for logits in made))


def forget_the_mask(self: SpanModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Any = None) -> Any:
    return UNBROKEN(self, input_ids, torch.ones_like(attention_mask), token_type_ids)


@pytest.mark.parametrize("name", ["full", "prompt-tuning"])
@pytest.mark.parametrize("family", sorted(WITH_SEGMENTS))
def test_red_when_segment_ids_are_dropped(
    name: str, family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of(name, family)
    model = cell.build()
    assert not is_red(contract.segment_ids_reach_the_encoder, cell, model)
    monkeypatch.setattr(SpanModel, "forward", drop_segment_ids)
    assert is_red(contract.segment_ids_reach_the_encoder, cell, model)


@pytest.mark.parametrize("family", cases(leave_out=WITH_SEGMENTS))
def test_red_when_segment_ids_travel_where_there_are_none(
    family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of("head-only", family)
    model = cell.build()
    assert not is_red(contract.segment_ids_reach_the_encoder, cell, model)
    monkeypatch.setattr(SpanModel, "sends_segment_ids", True)
    assert is_red(contract.segment_ids_reach_the_encoder, cell, model)


@families
@pytest.mark.parametrize("broken", [keep_virtual_tokens, crop_at_the_wrong_end])
def test_red_when_virtual_tokens_are_not_cropped(
    broken: Any, family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of("prompt-tuning", family)
    model = cell.build()
    assert not is_red(contract.logits_belong_to_the_windows_own_tokens, cell, model)
    monkeypatch.setattr(SpanModel, "forward", broken)
    assert is_red(contract.logits_belong_to_the_windows_own_tokens, cell, model)


@pytest.mark.parametrize(("name", "family"), cases("lora", "prefix-tuning", "prompt-tuning", leave_out=REFUSED))
def test_red_when_the_mask_is_forgotten(
    name: str, family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of(name, family)
    model = cell.build()
    assert not is_red(contract.padding_changes_no_logit, cell, model)
    monkeypatch.setattr(SpanModel, "forward", forget_the_mask)
    assert is_red(contract.padding_changes_no_logit, cell, model)


@families
def test_red_when_an_adapter_mixes_windows(family: str, cell_of: CellOf) -> None:
    """As one whose update is an average over the batch; only the padding promise sees it."""
    cell = cell_of("head-only", family)
    model = cell.build()
    assert not is_red(contract.padding_changes_no_logit, cell, model)
    inside = model.network.get_submodule(model.network.base_model_prefix)
    mix = next(module for module in inside.modules() if isinstance(module, nn.Linear))
    mix.register_forward_hook(lambda module, given, made: made + 0.1 * made.mean(dim=(0, 1)))
    assert is_red(contract.padding_changes_no_logit, cell, model)


# Labels


@families
def test_red_when_labels_are_shifted(family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the virtual tokens, as logits that were not cropped would need it."""
    cell = cell_of("prompt-tuning", family)
    model, right = cell.build(), batches.labels
    assert not is_red(contract.labels_point_at_the_gold_tokens, cell, model)
    monkeypatch.setattr(
        batches, "labels", lambda *given: {k: made + model.reserved_positions for k, made in right(*given).items()}
    )
    assert is_red(contract.labels_point_at_the_gold_tokens, cell, model)


@pytest.mark.parametrize(
    "family", ["bert", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ARCHITECTURES if one != "bert")]
)
def test_training_on_shifted_labels_answers_wrongly(
    family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the right ones it overfits: the contract's own test."""
    right = batches.labels
    monkeypatch.setattr(batches, "labels", lambda *given: {k: made + 1 for k, made in right(*given).items()})
    afresh = dataclasses.replace(cell_of("lora", family).encoder)  # without the batch that was made before
    assert is_red(contract.a_few_steps_overfit_four_examples, Cell("lora", afresh))


# What is saved and what learns


@pytest.mark.parametrize(("name", "family"), cases("layernorm", "lora", "prompt-tuning"))
def test_red_when_the_head_is_not_saved(
    name: str, family: str, cell_of: CellOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each way of saving: the encoder's own weights, PEFT's (which stumbles itself), virtual tokens."""
    cell = cell_of(name, family)
    model, right = cell.build(), save_load.saved_tensors
    contract.loading_gives_the_same_logits(cell, model, tmp_path / "whole")
    monkeypatch.setattr(
        save_load, "saved_tensors", lambda one: {k: w for k, w in right(one).items() if not contract.is_head(one, k)}
    )
    with pytest.raises((AssertionError, KeyError)):
        contract.loading_gives_the_same_logits(cell, model, tmp_path / "broken")


@families
def test_red_when_the_whole_model_loads_another_head(
    family: str, cell_of: CellOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, right = cell_of("full", family), save_load.load_network
    model = cell.build()
    assert not is_red(contract.loading_gives_the_same_logits, cell, model, tmp_path / "whole")
    monkeypatch.setattr(save_load, "load_network", lambda name, **given: right(cell.model))
    assert is_red(contract.loading_gives_the_same_logits, cell, model, tmp_path / "broken")


@families
@pytest.mark.parametrize("part", ["weight", "head", "adapter"])
def test_red_when_a_frozen_weight_moves_or_a_learning_one_does_not(
    part: str, family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of("lora", family)
    assert not is_red(contract.what_should_learn_learns_and_the_rest_stays, cell, cell.build())
    model, right = cell.build(), contract.train
    chosen = {
        "weight": next(weight for weight in model.parameters() if not weight.requires_grad),
        "head": next(w for k, w in model.named_parameters() if w.requires_grad and contract.is_head(model, k)),
        "adapter": next(w for k, w in model.named_parameters() if ".lora_B." in k),
    }[part]

    def train(model: SpanModel, cell: Cell, **more: Any) -> list[float]:
        before = chosen.detach().clone()
        losses = right(model, cell, **more)
        chosen.data.copy_(before if chosen.requires_grad else before * 1.001)
        return losses

    monkeypatch.setattr(contract, "train", train)
    assert is_red(contract.what_should_learn_learns_and_the_rest_stays, cell, model)


# Arithmetic


@families
def test_red_when_merging_forgets_a_layer(family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft.tuners.lora.layer import Linear

    cell = cell_of("lora", family)
    whole, model = cell.build(), cell.build()
    for one in (whole, model):
        contract.train(one, cell, steps=2)
    assert not is_red(contract.merging_changes_no_logit, cell, whole)
    right, merged = Linear.merge, list[str]()

    def merge(self: Linear, *given: Any, **more: Any) -> None:
        merged.append("one")
        if len(merged) > 1:
            right(self, *given, **more)

    monkeypatch.setattr(Linear, "merge", merge)
    assert is_red(contract.merging_changes_no_logit, cell, model) and len(merged) > 1


@pytest.mark.parametrize("family", cases(leave_out=contract.NO_CHECKPOINTING))
def test_red_when_activations_are_not_computed_anew(
    family: str, cell_of: CellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of("lora", family)
    assert not is_red(contract.checkpointing_changes_no_gradient, cell, cell.build())
    monkeypatch.setattr(SpanModel, "recompute_activations", lambda self: None)
    assert is_red(contract.checkpointing_changes_no_gradient, cell, cell.build())
