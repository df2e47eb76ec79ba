"""The usual recipe is what it says: padded windows, PEFT's own class, a decoder with the rules that it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from benchmarks import ours, usual_recipe
from benchmarks.decoding import agreement, both_windows, exhaustive, plausible_logits
from benchmarks.material import examples_of
from benchmarks.plan import Plan
from benchmarks.usual_recipe import Logits
from spantune.answering.windows import Windows
from spantune.data import Example
from spantune.data.prediction import Prediction
from spantune.errors import MethodError
from spantune.modeling import load_tokenizer


def test_training_windows_are_padded_and_point_at_the_answer(plan: Plan) -> None:
    tokenizer, examples = load_tokenizer(plan.model), examples_of(plan.data, 6)
    made = usual_recipe.training_features(examples, tokenizer, plan.windows)
    assert {len(row) for key in ("input_ids", "attention_mask", "token_type_ids") for row in made[key]} == {48}
    for row, example in zip(made, examples, strict=True):
        found = row["input_ids"][row["start_positions"] : row["end_positions"] + 1]
        assert tokenizer.decode(found) == example.answers[0].text


def test_a_window_without_the_answer_points_at_its_first_token(plan: Plan) -> None:
    example = examples_of(plan.data, 1)[0]
    far = replace(example, context="mill " * 60 + example.context, answers=())
    shifted = [replace(one, start=one.start + 5 * 60) for one in example.answers]
    made = usual_recipe.training_features(
        [replace(far, answers=tuple(shifted))], load_tokenizer(plan.model), plan.windows
    )
    starts = made["start_positions"][:]
    assert len(starts) > 1 and starts[0] == 0 and any(starts)


def hand_made() -> tuple[list[Example], Dataset, Logits]:
    """One example on two windows of five tokens, the first two outside the context."""
    offsets = [[None, None, [0, 3], [4, 9], [10, 14]], [None, None, [10, 14], [15, 17], [18, 22]]]
    features = Dataset.from_dict({"example_id": ["q", "q"], "offset_mapping": offsets})
    start = np.array([[9, 9, 3, 1, 0], [9, 9, 0, 2, 0]], dtype=np.float32)
    end = np.array([[9, 9, 0, 0, 1], [9, 9, 4, 0, 5]], dtype=np.float32)
    return [Example("q", "who ?", "Ada built mill in 1832")], features, Logits(start, end)


def test_candidates_by_hand() -> None:
    best = usual_recipe.best_answers(*hand_made(), n_best=20, max_answer_length=2)["q"]
    assert [(one["text"], one["score"]) for one in best[:3]] == [("in 1832", 7.0), ("1832", 5.0), ("mill", 4.0)]
    assert sum(one["probability"] for one in best) == pytest.approx(1)
    assert max(len(one["text"].split()) for one in best) == 2


def test_few_starts_and_ends_can_miss_every_span() -> None:
    """The loop pairs the highest two of all tokens; here both stand outside the context."""
    best = usual_recipe.best_answers(*hand_made(), n_best=2)
    assert [one["text"] for one in best["q"]] == [""]


def _decoded(windows: Windows, logits: Logits) -> list[Prediction]:
    found: list[Prediction] = []
    ours.decode(windows, ours.as_left_by_the_model(windows, *logits), sink=found.append)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_both_decoders_find_the_same_where_the_loop_sees_all(plan: Plan, seed: int) -> None:
    windows, features = both_windows(plan)
    logits = Logits(*np.random.default_rng(seed).normal(size=(2, len(windows), 48)).astype(np.float32))
    found, examples = _decoded(windows, logits), windows.corpus.examples
    exact = exhaustive(examples, features, logits)
    assert agreement(found, exact).equal == len(examples)
    for prediction in found:
        assert prediction.score == pytest.approx(exact[prediction.id][0]["score"])
    narrow = agreement(found, usual_recipe.best_answers(examples, features, logits, n_best=2))
    assert narrow.wrong == 0 and narrow.better > 0


def test_agreement_sees_a_wrong_answer(plan: Plan) -> None:
    windows, features = both_windows(plan)
    logits = plausible_logits(windows, 48)
    found = _decoded(windows, logits)
    exact = exhaustive(windows.corpus.examples, features, logits)
    worse = [replace(found[0], text="nothing", score=found[0].score - 1), *found[1:]]
    assert agreement(worse, exact).wrong == 1


def test_plausible_logits_answer_what_was_asked(plan: Plan) -> None:
    windows, _ = both_windows(plan)
    found = _decoded(windows, plausible_logits(windows, 48))
    right = [one.text == example.answers[0].text for one, example in zip(found, windows.corpus.examples, strict=True)]
    assert sum(right) > len(right) / 2


@pytest.mark.parametrize(
    ("method", "kind"),
    [("full", "BertForQuestionAnswering"), ("lora", "PeftModelForQuestionAnswering")],
)
def test_the_model_is_the_stock_one(plan: Plan, method: str, kind: str) -> None:
    model = usual_recipe.load_model(plan.model, method)
    assert type(model).__name__ == kind
    assert model.config.attention_probs_dropout_prob == 0.1
    assert model.config._attn_implementation == "sdpa"


def test_both_sides_train_as_many_parameters(plan: Plan) -> None:
    from spantune.modeling import build

    for method in ("full", "lora", "ia3", "prefix-tuning"):
        usual = usual_recipe.load_model(plan.model, method)
        learning = sum(weight.numel() for weight in usual.parameters() if weight.requires_grad)
        assert learning == build(plan.model, method).count_parameters().trainable, method


def test_what_peft_lacks_is_refused(plan: Plan) -> None:
    with pytest.raises(MethodError, match="leave it out of --methods"):
        usual_recipe.load_model(plan.model, "bottleneck")


def test_same_weights_give_the_same_answers(plan: Plan, tmp_path: Path) -> None:
    """From text to answers: fp32, and a loop that sees all, so that no rule differs."""
    predictor = ours.predictor(plan)
    predictor.dtype = torch.float32
    model = usual_recipe.load_model(plan.model)
    model.load_state_dict(predictor.model.network.state_dict())
    predicting = usual_recipe.trainer(model, None, tmp_path, batch_size=4, device="cpu")
    examples = examples_of(plan.data, 5)
    features = usual_recipe.evaluation_features(examples, predictor.tokenizer, plan.windows)
    logits = usual_recipe.predict(predicting, features)
    exact: dict[str, list[dict[str, Any]]] = exhaustive(examples, features, logits)
    for prediction in predictor.predict(examples):
        assert prediction.score == pytest.approx(exact[prediction.id][0]["score"], abs=1e-4)
        asked = next(one for one in examples if one.id == prediction.id)
        assert (
            usual_recipe.ask(model, predictor.tokenizer, asked.question, asked.context, plan.windows) in asked.context
        )
