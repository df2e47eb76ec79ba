"""What every method of the registry promises, on BERT and on DistilBERT.

The contracts are plain functions, so that the last tests can show that each goes red when the forward rule is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spantune.config import DecodeConfig
from spantune.errors import MethodError
from spantune.inference.engine import answer_windows
from spantune.methods import methods
from spantune.modeling import SpanLogits, SpanModel, build, count_parameters, load, save
from spantune.modeling.loss import span_loss


def train(model: SpanModel, case: Any, *, steps: int, head_rate: float | None = None) -> tuple[float, float]:
    """Full-batch Adam at the method's own rate, clipped as the Trainer clips; first and last loss."""
    batch, losses = case.batch(), []
    rate = model.method.learning_rate
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimiser = torch.optim.Adam(
        {"params": weight, "lr": head_rate if head_rate and "qa_outputs" in name else rate}
        for name, weight in learning.items()
    )
    model.train()
    for _ in range(steps):
        logits = model(**case.inputs())
        loss = span_loss(logits, batch["starts"], batch["ends"], batch["allowed"]).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning.values(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    model.eval()
    return losses[0], losses[-1]


@torch.no_grad()
def logits_of(model: SpanModel, inputs: dict[str, Tensor]) -> Tensor:
    """Start and end, (2, B, L)."""
    return torch.stack(list(model.eval()(**inputs)))


def answers_of(model: SpanModel, case: Any) -> list[str]:
    answered = answer_windows(
        model, case.windows, pad_token_id=0, decode=DecodeConfig(), dtype=torch.float32, squad_v2=True
    )
    return [prediction.text for prediction in answered.predictions]


# The contracts


def head_and_method_learn_and_the_rest_stays(case: Any) -> None:
    model = case.build()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    # More than one step: the inner factors of LoRA and LoHa have no gradient while the outer ones are zero.
    train(model, case, steps=4)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == learning
    assert any("qa_outputs" in name for name in moved)
    assert model.method.whole_encoder == (len(moved) == len(before))


def a_few_steps_overfit_four_examples(case: Any) -> None:
    model = case.build(seed=1)
    first, last = train(model, case, steps=40, head_rate=0.1)
    assert last < 0.2 * first
    gold = [example.answers[0].text if example.answers else "" for example in case.windows.corpus.examples]
    assert answers_of(model, case) == gold


def loading_gives_the_same_logits(case: Any, folder: Path) -> None:
    model = case.build()
    train(model, case, steps=3)
    size = save(model, folder, settings={"max_length": 32}, tokenizer=case.tokenizer)
    assert size == sum(file.stat().st_size for file in folder.glob("*.safetensors")) > 0
    torch.manual_seed(99)  # What is not loaded would be drawn anew.
    saved = load(folder)
    assert saved.settings == {"max_length": 32} and saved.model.identity == model.identity
    assert saved.tokenizer.get_vocab() == case.tokenizer.get_vocab() and not saved.model.training
    torch.testing.assert_close(
        logits_of(saved.model, case.inputs()), logits_of(model, case.inputs()), **_closeness(model)
    )
    # A second round trip loses nothing, either.
    save(saved.model, folder / "again", settings={}, tokenizer=case.tokenizer)
    assert torch.equal(logits_of(load(folder / "again").model, case.inputs()), logits_of(saved.model, case.inputs()))


def _closeness(model: SpanModel) -> dict[str, float]:
    """Bit-identical, but for virtual tokens that came out of a network: that is folded away when they are saved."""
    folded = isinstance(getattr(model.virtual, "prompt", None), nn.Module) or any(
        "transform" in name for name, _ in model.named_parameters()
    )
    return {"rtol": 1e-6, "atol": 1e-6} if folded else {"rtol": 0.0, "atol": 0.0}


def logits_belong_to_the_windows_own_tokens(case: Any) -> None:
    """(B, L), each the head's opinion on the hidden state of its own token, virtual tokens or not."""
    model = case.build()
    hidden: list[Tensor] = []
    head = next(module for name, module in model.named_modules() if name.endswith("qa_outputs"))
    hook = head.register_forward_hook(lambda module, given, made: hidden.append(made))
    try:
        logits = logits_of(model, case.inputs())
    finally:
        hook.remove()
    batch, length = case.inputs()["input_ids"].shape
    assert logits.shape == (2, batch, length)
    own = hidden[0][:, hidden[0].shape[1] - length :]  # Virtual tokens stand before the window's own.
    assert torch.equal(logits, own.permute(2, 0, 1))


def segment_ids_reach_the_encoder(case: Any) -> None:
    model, inputs = case.build(), case.inputs()
    if "token_type_ids" not in inputs:
        return
    swapped = {**inputs, "token_type_ids": 1 - inputs["token_type_ids"]}
    without = {key: tensor for key, tensor in inputs.items() if key != "token_type_ids"}
    right = logits_of(model, inputs)
    assert not torch.allclose(right, logits_of(model, swapped), atol=1e-3)
    assert not torch.allclose(right, logits_of(model, without), atol=1e-3)


def padding_changes_no_logit(case: Any) -> None:
    model, inputs = case.build(), case.inputs()
    alone = {key: tensor[:1, : int(inputs["attention_mask"][0].sum())] for key, tensor in inputs.items()}
    longer = {key: nn.functional.pad(tensor, (0, 7), value=0) for key, tensor in inputs.items()}
    longer["input_ids"][longer["attention_mask"] == 0] = 9
    length = alone["input_ids"].shape[1]
    torch.testing.assert_close(logits_of(model, longer)[:, :1, :length], logits_of(model, alone), rtol=1e-5, atol=1e-5)


def test_head_and_method_learn_and_the_rest_stays(case: Any) -> None:
    head_and_method_learn_and_the_rest_stays(case)


def test_a_few_steps_overfit_four_examples(case: Any) -> None:
    a_few_steps_overfit_four_examples(case)


def test_loading_gives_the_same_logits(case: Any, tmp_path: Path) -> None:
    loading_gives_the_same_logits(case, tmp_path)


def test_logits_belong_to_the_windows_own_tokens(case: Any) -> None:
    logits_belong_to_the_windows_own_tokens(case)


def test_segment_ids_reach_the_encoder(case: Any) -> None:
    segment_ids_reach_the_encoder(case)


def test_padding_changes_no_logit(case: Any) -> None:
    padding_changes_no_logit(case)


def test_a_seed_gives_one_model(case: Any) -> None:
    first, same, other = (logits_of(case.build(seed=seed), case.inputs()) for seed in (3, 3, 4))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_merging_changes_no_logit(case: Any) -> None:
    model = case.build()
    if not model.method.mergeable:
        with pytest.raises(MethodError, match="cannot be merged") as raised:
            model.merge()
        assert "lora" in str(raised.value)
        return
    train(model, case, steps=3)
    before = logits_of(model, case.inputs())
    assert not torch.allclose(before, logits_of(case.build(), case.inputs()), atol=1e-3), "there is something to merge"
    merged = model.merge()
    torch.testing.assert_close(logits_of(merged, case.inputs()), before, rtol=1e-5, atol=1e-5)
    plain = build(str(case.encoder), "head-only")
    assert {n for n, _ in merged.named_parameters()} == {n for n, _ in plain.named_parameters()}


# Parameters, by the papers' formulas. D = 32 width, F = 64 inner width, N = 2 layers; 2D + 2 is the head.

D, F, N, HEAD = 32, 64, 2, 2 * 32 + 2
FORMULAS: dict[str, int] = {
    "head-only": HEAD,
    # r (D_in + D_out) for each adapted matrix.
    "lora": N * 4 * (4 * (D + D) + (D + F) + (F + D)) + HEAD,
    "lora+query-value": N * 4 * 2 * (D + D) + HEAD,
    # Two such pairs.
    "loha": N * 4 * 2 * (4 * (D + D) + (D + F) + (F + D)) + HEAD,
    # l_k and l_v (D each) and l_ff (F) in each layer.
    "ia3": N * (D + D + F) + HEAD,
    # V keys and values in each layer.
    "prefix-tuning": 5 * N * 2 * D + HEAD,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_trainable_parameters_are_the_papers(name: str, case_of: Callable[[str], Any]) -> None:
    assert case_of(name).build().count_parameters().trainable == FORMULAS[name]


def test_everything_learns_in_full_fine_tuning(case_of: Callable[[str], Any]) -> None:
    counted = case_of("full").build().count_parameters()
    assert counted.trainable == counted.total and counted.share == 1


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("prompt-encoder", 5 * D),
        ("prompt-encoder+lstm", 5 * D),
        ("prefix-tuning", 5 * N * 2 * D),
        ("prefix-tuning+projection", 5 * N * 2 * D),
    ],
)
def test_what_is_saved_is_the_virtual_tokens_alone(
    name: str, saved: int, case_of: Callable[[str], Any], tmp_path: Path
) -> None:
    case = case_of(name)
    save(case.build(), tmp_path, settings={}, tokenizer=case.tokenizer)
    assert load(tmp_path).model.count_parameters().trainable == saved + HEAD
    assert load(tmp_path).model.count_parameters().head == HEAD


def test_counting_without_weights_agrees_with_the_model(case: Any) -> None:
    assert count_parameters(str(case.encoder), case.method, case.options) == case.build().count_parameters()


# The proofs that the contracts can fail: each breaks the forward rule and sees the contract go red.

UNBROKEN = SpanModel.forward


def drop_segment_ids(self: SpanModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Any = None) -> Any:
    """What PEFT's question-answering class does."""
    return UNBROKEN(self, input_ids, attention_mask)


def keep_virtual_tokens(self: SpanModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Any = None) -> Any:
    """What PEFT's question-answering class does: logits V longer, labels unshifted."""
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if token_type_ids is not None:
        inputs["token_type_ids"] = token_type_ids
    scored = self.network(**(self.virtual.prepend(self.network, inputs) if self.virtual else inputs))
    return SpanLogits(scored.start_logits, scored.end_logits)


def crop_at_the_wrong_end(self: SpanModel, input_ids: Tensor, *rest: Any, **more: Any) -> Any:
    """(B, L) again, but every label points V tokens too far to the left."""
    made = keep_virtual_tokens(self, input_ids, *rest, **more)
    return SpanLogits(*(logits[:, : input_ids.shape[1]] for logits in made))


def forget_the_mask(self: SpanModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Any = None) -> Any:
    return UNBROKEN(self, input_ids, torch.ones_like(attention_mask), token_type_ids)


@pytest.mark.parametrize("name", methods())
def test_the_contract_is_red_when_segment_ids_are_dropped(
    name: str, on_bert: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_ids_reach_the_encoder(on_bert(name))
    monkeypatch.setattr(SpanModel, "forward", drop_segment_ids)
    with pytest.raises(AssertionError):
        segment_ids_reach_the_encoder(on_bert(name))


@pytest.mark.parametrize("broken", [keep_virtual_tokens, crop_at_the_wrong_end])
def test_the_contract_is_red_when_virtual_tokens_are_not_cropped(
    broken: Any, case_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits_belong_to_the_windows_own_tokens(case_of("prompt-encoder"))
    monkeypatch.setattr(SpanModel, "forward", broken)
    with pytest.raises(AssertionError):
        logits_belong_to_the_windows_own_tokens(case_of("prompt-encoder"))


def test_the_contract_is_red_when_the_mask_is_forgotten(
    case_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpanModel, "forward", forget_the_mask)
    with pytest.raises(AssertionError):
        padding_changes_no_logit(case_of("lora"))


def test_the_contract_is_red_when_a_frozen_weight_learns(
    case_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_as_it_is = train

    def leak(model: SpanModel, case: Any, **more: Any) -> Any:
        outcome = train_as_it_is(model, case, **more)
        next(weight for weight in model.parameters() if not weight.requires_grad).data.mul_(1.001)
        return outcome

    monkeypatch.setitem(globals(), "train", leak)
    with pytest.raises(AssertionError):
        head_and_method_learn_and_the_rest_stays(case_of("lora"))
