"""Ranks are given out as the paper and PEFT's own allocator do it, and what is left of them comes back from a file."""

from __future__ import annotations

import copy
import itertools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import ANSWERING, without_digests
from torch import Tensor, nn

from spantune.errors import MethodError, RunError
from spantune.methods import get
from spantune.methods.adalora.rank_budget import RankBudget
from spantune.modeling import SpanModel, build, count_parameters, load, save
from spantune.modeling.save_load import WEIGHTS, trainable_state

LAYERS, START, TARGET = 12, 6, 4
OPTIONS = {"rank": TARGET, "start_rank": START, "initial": 0.1, "final": 0.5}


def made(encoder: Path, **options: Any) -> SpanModel:
    """A model whose every learning weight was moved, so that no rank is 0 yet."""
    model = build(str(encoder), "adalora", {**OPTIONS, **options})
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=chance)
    return model


@pytest.fixture
def model(tiny_bert: Path) -> SpanModel:
    return made(tiny_bert)


def steps_of(models: list[SpanModel], steps: int, *, seed: int = 1) -> Iterator[int]:
    """The same made-up gradients and changes for each model, step by step, as an optimiser would leave them."""
    chance = torch.Generator().manual_seed(seed)
    for step in range(1, steps + 1):
        for together in zip(*(model.parameters() for model in models), strict=True):
            if together[0].requires_grad:
                size = together[0].shape
                change, gradient = (torch.randn(size, generator=chance) for _ in range(2))
                for weight in together:
                    weight.data += 0.01 * change
                    weight.grad = gradient.clone()
        yield step


def values(model: SpanModel) -> dict[str, Tensor]:
    """E of each layer, (s,)."""
    return {name: weight.detach()[:, 0] for name, weight in model.named_parameters() if ".lora_E." in name}


def kept(budget: RankBudget) -> float:
    return budget.metrics()["ranks"]


def drop_pruned(model: SpanModel) -> int:
    """How many ranks are left."""
    return int((model.hook.finish() or "").split()[0])


def ranks(model: SpanModel) -> list[int]:
    return [int(value.count_nonzero()) for value in values(model).values()]


@torch.no_grad()
def logits_of(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    found = model.eval()(**inputs)
    return torch.stack([found.start, found.end] if isinstance(model, SpanModel) else [*found.values()][:2])


def pruned(model: SpanModel, *, whole_layers: int = 2) -> SpanModel:
    """With a few ranks set to 0 in the middle of each layer, and some layers without any."""
    for number, weight in enumerate(w for name, w in model.named_parameters() if ".lora_E." in name):
        with torch.no_grad():
            weight[0 if number < whole_layers else 1 : None if number < whole_layers else 1 + number % 4] = 0
    return model


# Who gets how many


@pytest.mark.parametrize("changes", [{}, {"rank": 1}, {"start_rank": 5, "initial": 0.0}, {"targets": "query-value"}])
def test_ranks_are_given_out_as_pefts_allocator_does(changes: dict[str, Any], tiny_bert: Path) -> None:
    ours, theirs, steps = made(tiny_bert, **changes), made(tiny_bert, **changes), 20
    budget, tuner = RankBudget(ours.network), theirs.network.base_model
    config = theirs.network.peft_config["default"]
    config.total_step, config.tinit, config.tfinal = steps, round(steps * (changes.get("initial", 0.1))), 10
    counts = []
    for step in steps_of([ours, theirs], steps):
        if step == steps - config.tfinal:  # PEFT's last choice looks back from the step before
            tuner.rankallocator.update_ipt(tuner.model)
        tuner.update_and_allocate(step)
        budget.after_step(step, steps)
        assert kept(budget) == tuner.rankallocator.budget_schedule(step)[0] == sum(ranks(ours)), f"step {step}"
        assert all(torch.equal(value, values(theirs)[name]) for name, value in values(ours).items()), f"step {step}"
        counts.append(kept(budget))
    assert counts[0] > counts[2] > counts[9] == counts[-1] == budget.target
    assert len(set(ranks(ours))) > 1, "no layer got more than another"


@pytest.mark.parametrize(("initial", "final"), [(0.0, 0.0), (0.1, 0.5), (0.0, 0.99), (0.99, 0.0), (0.49, 0.5)])
def test_the_budget_falls_to_its_target_in_any_number_of_steps(initial: float, final: float, tiny_bert: Path) -> None:
    budget = RankBudget(build(str(tiny_bert), "adalora", {**OPTIONS, "initial": initial, "final": final}).network)
    for steps in (1, 2, 3, 5, 10, 1000):
        curve = [budget.at(step, steps) for step in range(steps + 1)]
        assert curve[0] == budget.possible == LAYERS * START and curve[-1] == budget.target == LAYERS * TARGET
        assert curve == sorted(curve, reverse=True)
    first, last = round(1000 * initial), 1000 - round(1000 * final)
    assert curve[first] == budget.possible > curve[first + 1] and curve[last] == budget.target


@pytest.mark.parametrize(("steps", "rank"), [(1, 1), (1, TARGET), (2, TARGET), (5, START), (5, TARGET), (20, 1)])
def test_what_is_pruned_is_zero_and_what_is_left_is_the_budget(steps: int, rank: int, tiny_bert: Path) -> None:
    model = made(tiny_bert, rank=rank)
    budget = RankBudget(model.network)
    for step in steps_of([model], steps):
        budget.after_step(step, steps)
        assert sum(ranks(model)) == kept(budget) == budget.at(step, steps)
    assert sum(ranks(model)) == LAYERS * rank


def test_the_important_ranks_stay(model: SpanModel) -> None:
    budget = RankBudget(model.network)
    names = list(values(model))
    for step in steps_of([model], 10):
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                layer = next(number for number, other in enumerate(names) if other.split(".lora")[0] in name)
                weight.grad = torch.full_like(weight, float(10.0 ** (layer - LAYERS)))
        budget.after_step(step, 10)
    assert ranks(model)[-6:] == [START] * 6 and sum(ranks(model)[:3]) == 0


def test_a_pruned_rank_may_come_back_until_the_last_change(model: SpanModel) -> None:
    budget, steps, masks = RankBudget(model.network), 20, []
    for step in steps_of([model], steps):
        budget.after_step(step, steps)
        masks.append(torch.cat([*budget.kept.values()]).clone())
    back = [bool((after & ~before).any()) for before, after in itertools.pairwise(masks)]
    assert any(back[:9]) and not any(back[9:]), "the final share of the steps changes no rank"


def test_layers_without_any_gradient_still_end_in_the_budget(model: SpanModel) -> None:
    budget = RankBudget(model.network)
    for step in steps_of([model], 5):
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight)
        budget.after_step(step, 5)
    assert sum(ranks(model)) == LAYERS * TARGET


def test_a_step_that_the_optimiser_left_out_teaches_nothing(model: SpanModel) -> None:
    budget = RankBudget(model.network)
    for step in steps_of([model], 20):
        before = {name: weight.clone() for name, weight in budget.state().items() if not name.startswith("kept")}
        if overflow := step in (1, 4, 10):
            for weight in model.parameters():
                weight.grad = torch.full_like(weight, float("inf"))
        budget.after_step(step, 20, learned=not overflow)
        same = all(torch.equal(weight, before[name]) for name, weight in budget.state().items() if name in before)
        assert same == (overflow or step > 10), "the schedule goes on, the averages do not"
        assert sum(ranks(model)) == budget.at(step, 20)


@pytest.mark.parametrize("stop", [1, 5, 10, 15])
def test_the_state_goes_on_to_the_last_bit(stop: int, model: SpanModel) -> None:
    resumed, budget = copy.deepcopy(model), RankBudget(model.network)
    again, state = RankBudget(resumed.network), {}
    for step in steps_of([model, resumed], 20):
        budget.after_step(step, 20)
        if step == stop:
            state = {name: weight.clone() for name, weight in budget.state().items()}
            again.load_state(state)
            for name, value in values(resumed).items():
                value.copy_(values(model)[name])
        elif step > stop:
            again.after_step(step, 20)
    assert all(torch.equal(value, values(resumed)[name]) for name, value in values(model).items())
    assert all(torch.equal(weight, again.state()[name]) for name, weight in budget.state().items())


# The penalty


def test_the_penalty_is_pefts(tiny_bert: Path, inputs_of: Any) -> None:
    """PEFT adds it where the network makes a loss of its own."""
    model = made(tiny_bert, orthogonality=0.3).eval()
    labels = {"start_positions": torch.tensor([1, 2, 3]), "end_positions": torch.tensor([4, 5, 6])}
    inputs = {**inputs_of(tiny_bert), **labels}
    added = model.network.base_model(**inputs).loss - model.network.get_base_model()(**inputs).loss
    torch.testing.assert_close(RankBudget(model.network).penalty(), added, rtol=1e-5, atol=1e-5)
    assert added > 0.1


def test_the_penalty_pulls_the_vectors_apart_and_then_rests(model: SpanModel) -> None:
    budget = RankBudget(model.network)
    vectors = {key: weight for key, weight in budget.weights.items() if key[1] != "lora_E"}
    budget.penalty().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in vectors.values())
    assert all(weight.grad is None for key, weight in budget.weights.items() if key not in vectors)
    with torch.no_grad():
        for weight in vectors.values():
            tall = weight.T if weight.shape[0] < weight.shape[1] else weight
            tall.copy_(torch.linalg.qr(tall)[0])
    assert budget.penalty().item() == pytest.approx(0, abs=1e-5)


def test_the_penalty_is_made_in_fp32(model: SpanModel) -> None:
    budget = RankBudget(model.network)
    full = budget.penalty()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(budget.penalty(), full)


# Save and load


def test_pruned_weights_come_back(
    tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model, inputs = pruned(made(tiny_encoder)), inputs_of(tiny_encoder)
    before, left = logits_of(model, inputs), ranks(model)
    assert drop_pruned(model) == sum(left)
    learning = trainable_state(model)
    assert left[:2] == [0, 0] and START in left and len(set(left)) > 2
    save(model, tmp_path, settings=ANSWERING, tokenizer=tiny_tokenizer)
    assert all(torch.equal(weight, learning[name]) for name, weight in trainable_state(model).items()), "saving changes"
    state = load_file(tmp_path / WEIGHTS)
    names = [name.removeprefix("network.").removesuffix(".default") for name in values(model)]
    assert [len(state[name]) for name in names] == left and sum("lora_E" in name for name in state) == LAYERS

    loaded = load(tmp_path).model
    torch.testing.assert_close(logits_of(loaded, inputs), before, rtol=1e-6, atol=1e-6)
    assert ranks(loaded) == left and [len(value) for value in values(loaded).values()] == left
    assert not any("ranknum" in name for name in trainable_state(loaded))
    save(loaded, tmp_path / "again", settings=ANSWERING, tokenizer=tiny_tokenizer)
    again = load_file(tmp_path / "again" / WEIGHTS)
    assert again.keys() == state.keys() and all(torch.equal(weight, again[name]) for name, weight in state.items())
    assert torch.equal(logits_of(load(tmp_path / "again").model, inputs), logits_of(loaded, inputs))
    assert not [one for one in recwarn if "lora" in str(one.message).lower()], "PEFT takes empty layers for torn ones"


def test_a_network_without_its_pruned_ranks_is_what_is_saved(
    tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path
) -> None:
    model, inputs = pruned(made(tiny_encoder)), inputs_of(tiny_encoder)
    before, left = logits_of(model, inputs), ranks(model)
    assert drop_pruned(model) == sum(left) == drop_pruned(model), "a second time, nothing is left to do"
    after = logits_of(model, inputs)
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6)
    assert not any("ranknum" in name for name in trainable_state(model))
    save(model, tmp_path, settings=ANSWERING, tokenizer=tiny_tokenizer)
    assert torch.equal(logits_of(load(tmp_path).model, inputs), after)
    torch.testing.assert_close(logits_of(load(tmp_path).model.merge(), inputs), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dropped", [False, True])
def test_stock_peft_loads_them(
    dropped: bool, tiny_encoder: Path, tiny_tokenizer: Any, inputs_of: Any, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForQuestionAnswering

    model, inputs = pruned(made(tiny_encoder)), inputs_of(tiny_encoder)
    if dropped:
        drop_pruned(model)
    save(model, tmp_path, settings=ANSWERING, tokenizer=tiny_tokenizer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The following rank_pattern keys")  # PEFT looks for LoRA's keys
        stock = PeftModel.from_pretrained(AutoModelForQuestionAnswering.from_pretrained(tiny_encoder), tmp_path)
    torch.testing.assert_close(logits_of(stock, inputs), logits_of(model, inputs), rtol=1e-5, atol=1e-5)


def test_a_model_that_has_not_learned_keeps_its_ranks(tiny_bert: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    model = build(str(tiny_bert), "adalora", OPTIONS)
    assert ranks(model) == [0] * LAYERS and drop_pruned(model) == LAYERS * START
    save(model, tmp_path, settings=ANSWERING, tokenizer=tiny_tokenizer)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["rank_pattern"] is None
    loaded = trainable_state(load(tmp_path).model)
    assert all(torch.equal(weight, loaded[name]) for name, weight in trainable_state(model).items())


def test_a_damaged_file(model: SpanModel, tiny_tokenizer: Any, tmp_path: Path) -> None:
    save(pruned(model), tmp_path, settings=ANSWERING, tokenizer=tiny_tokenizer)
    without_digests(tmp_path)
    whole = load_file(tmp_path / WEIGHTS)
    name = next(name for name in whole if name.endswith("lora_E"))
    missing = {key: weight for key, weight in whole.items() if key != name}
    for state in (
        missing,
        {**whole, "base_model.model.bert.nowhere.lora_E": torch.zeros(2, 1)},
        *({**whole, name: torch.zeros(shape)} for shape in ((START + 1, 1), (), (3,), (2, 3, 4))),
        {**whole, name.replace("lora_E", "lora_B"): torch.zeros(32, START - 1)},
    ):
        save_file(state, tmp_path / WEIGHTS)
        with pytest.raises(RunError, match="do not fit its description"):
            load(tmp_path)


def test_counting_needs_no_steps(tiny_encoder: Path) -> None:
    counted = count_parameters(str(tiny_encoder), "adalora", OPTIONS)
    assert counted == build(str(tiny_encoder), "adalora", OPTIONS).count_parameters()
    # 4 layers of 32 → 32 and one each of 32 → 64 and 64 → 32, in each of the 2 layers of the encoder; the head.
    assert counted.trainable == 2 * START * (4 * (32 + 32 + 1) + 2 * (32 + 64 + 1)) + counted.head


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank: expected 1 to 1024, found 0"),
        ({"rank": 8, "start_rank": 7}, r"start_rank: expected rank \(8\) to 1024, found 7"),
        ({"initial": -0.1}, "initial: expected 0 to below 1"),
        ({"final": 1.0}, "final: expected 0 to below 1"),
        ({"initial": 0.5, "final": 0.5}, r"initial \+ final: expected at most 0.99"),
        ({"orthogonality": -1.0}, "orthogonality: expected 0 or more"),
        ({"alpha": 0}, "alpha: expected above 0"),
    ],
)
def test_options_that_leave_nothing_to_give_out(options: dict[str, Any], message: str, tiny_bert: Path) -> None:
    with pytest.raises(MethodError, match=message):
        get("adalora").resolve(options)


def test_a_rank_that_the_layers_do_not_have(tiny_bert: Path) -> None:
    with pytest.raises(MethodError, match="rank is larger than the layers are wide"):
        build(str(tiny_bert), "adalora", {"start_rank": 33})
