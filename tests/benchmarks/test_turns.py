"""A training holds until it is asked to go on, and says what it did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ours, usual_recipe
from benchmarks.material import corpus_of
from benchmarks.plan import Plan
from benchmarks.turns import Turns
from spantune.modeling import load_tokenizer

pytestmark = pytest.mark.exhaustive  # the parts take their turns in test_parts.py


@pytest.fixture
def trainer(plan: Plan, tmp_path: Path) -> Any:
    config = ours.config_of(plan, "head-only")
    return ours.trainer(config, corpus_of(plan.data, 12), tmp_path, steps=usual_recipe.ENDLESS)


def test_steps_are_counted_and_held(trainer: Any) -> None:
    with Turns(trainer) as turns:
        turns.steps(2)
        time.sleep(0.05)
        assert trainer.state.global_step == 2
        assert len(turns.lengths()) == 2 * 4
        turns.steps(3)
        assert trainer.state.global_step == 5
        lengths = turns.lengths()
        assert len(lengths) == 3 * 4 and set(lengths) <= set(trainer.lengths)
    assert trainer.state.global_step == 5


def test_the_usual_trainer_takes_turns_too(plan: Plan, tmp_path: Path) -> None:
    features = usual_recipe.training_features(
        corpus_of(plan.data, 12).examples, load_tokenizer(plan.model), plan.windows
    )
    usual = usual_recipe.trainer(
        usual_recipe.load_model(plan.model, "head-only"), features, tmp_path, batch_size=4, device="cpu"
    )
    with Turns(usual) as turns:
        turns.steps(1)
        assert usual.state.global_step == 1
        lengths = turns.lengths()
        assert len(lengths) == 4 and set(lengths) <= {sum(one["attention_mask"]) for one in features}


def test_what_the_training_raises_is_raised(trainer: Any) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the loss is gone")

    trainer.compute_loss = broken
    with Turns(trainer) as turns, pytest.raises(RuntimeError, match="the loss is gone"):
        turns.steps(1)


def test_a_training_that_ends_by_itself_says_so(plan: Plan, tmp_path: Path) -> None:
    short = ours.trainer(ours.config_of(plan, "head-only"), corpus_of(plan.data, 12), tmp_path, steps=2)
    with Turns(short) as turns, pytest.raises(RuntimeError, match="too few steps"):
        for _ in range(3):
            turns.steps(1)


def test_no_steps_are_refused(trainer: Any) -> None:
    with Turns(trainer) as turns, pytest.raises(ValueError, match="at least one step"):
        turns.steps(0)
