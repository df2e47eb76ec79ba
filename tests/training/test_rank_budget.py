"""A run with a rank budget: ranks fall while it learns, what is saved is pruned, a resumed run gives out the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tiny import history, same_weights, weights

from spantune.answering.batches import LengthBatches
from spantune.answering.predictor import Predictor
from spantune.config import TrainConfig
from spantune.methods.adalora.rank_budget import RankBudget
from spantune.modeling.save_load import trainable_state
from spantune.runs import RunRecord
from spantune.training import train
from spantune.training.callbacks import GracefulStop
from spantune.training.trainer import SpanTrainer

pytestmark = pytest.mark.usefixtures("no_plots")
LAYERS, START, TARGET = 12, 12, 8
STEPS, FIRST, LAST = 16, 1, 12  # of a run; behind which pruning begins; the last change of ranks
SETTINGS = {"method": "adalora", "options": {"final": 0.25}, "learning_rate": None, "dropout": 0.1}


@pytest.fixture
def adalora(config: Any) -> Callable[..., TrainConfig]:
    def make(name: str = "run", **changes: Any) -> TrainConfig:
        return config(name, **{**SETTINGS, **changes})

    return make


def column(run: Path, name: str) -> list[float]:
    return [row[name] for row in history(run) if name in row]


def saved_ranks(run: Path) -> int:
    return sum(len(weight) for name, weight in weights(run).items() if name.endswith("lora_E"))


def assert_ranks_were_given_out(run: Path) -> None:
    """They fall from all to the budget, and what the run ends with holds no more."""
    counts = column(run, "ranks")
    assert counts[: FIRST + 1] == [START * LAYERS, counts[FIRST]] and counts[FIRST] < START * LAYERS
    assert counts == sorted(counts, reverse=True) and counts[LAST - 1 :] == [TARGET * LAYERS] * (STEPS - LAST + 1)
    assert saved_ranks(run) == TARGET * LAYERS
    assert RunRecord.read(run).notes[-1] == "96 of 144 ranks kept in 12 layers (budget 96)"


def best_is(which: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Let the evaluation of this number find the best F1; the weights at each evaluation."""
    seen: list[dict[str, torch.Tensor]] = []
    real = SpanTrainer.evaluate

    def evaluate(self: SpanTrainer, *_: Any, **__: Any) -> dict[str, float]:
        seen.append(trainable_state(self.model))
        return real(self)

    monkeypatch.setattr(SpanTrainer, "evaluate", evaluate)
    monkeypatch.setattr(
        "spantune.training.trainer.headline", lambda scores: {"em": 0.0, "f1": float(len(seen) == which)}
    )
    return seen


def test_ranks_fall_to_the_budget(adalora: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = best_is(2, monkeypatch)
    assert train(adalora()).steps == STEPS
    assert_ranks_were_given_out(tmp_path / "run")
    last = {name: weight for name, weight in seen[-1].items() if ".lora_E." in name}
    assert sum(int(weight.count_nonzero()) for weight in last.values()) == TARGET * LAYERS
    assert sum(weight.numel() for weight in last.values()) == START * LAYERS, "pruned are zeros until the run is over"


@pytest.mark.exhaustive
def test_a_budget_that_is_never_asked_is_noticed(adalora: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RankBudget, "after_step", lambda *_, **__: None)
    train(adalora())
    assert saved_ranks(tmp_path / "run") == START * LAYERS
    with pytest.raises(AssertionError):
        assert_ranks_were_given_out(tmp_path / "run")


def test_weights_of_an_earlier_evaluation_keep_its_ranks(
    adalora: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = best_is(1, monkeypatch)
    record = train(adalora())
    run = tmp_path / "run"
    assert record.best.step == 8 < LAST
    at_best = next(int(row["ranks"]) for row in history(run) if row["step"] == 8 and "ranks" in row)
    assert saved_ranks(run) == at_best > TARGET * LAYERS
    assert record.notes[-1] == f"{at_best} of 144 ranks kept in 12 layers (budget 96)"
    for name, weight in weights(run).items():
        if name.endswith("lora_E"):
            then = seen[0][f"network.{name}.default"]
            assert torch.equal(weight, then[then[:, 0] != 0])
    answers = Predictor.load(run).model
    assert sum(w.numel() for n, w in answers.named_parameters() if ".lora_E." in n) == at_best


@pytest.mark.parametrize("epochs", [0.1, pytest.param(0.6, marks=pytest.mark.exhaustive)])
def test_a_run_of_few_steps(epochs: float, adalora: Any, tmp_path: Path) -> None:
    assert train(adalora(epochs=epochs)).steps in (1, 5)
    assert saved_ranks(tmp_path / "run") == column(tmp_path / "run", "ranks")[-1] == TARGET * LAYERS


def test_as_many_ranks_as_in_the_beginning(adalora: Any, tmp_path: Path) -> None:
    train(adalora(options={"rank": START}, epochs=1))
    assert set(column(tmp_path / "run", "ranks")) == {START * LAYERS} == {saved_ranks(tmp_path / "run")}


# The penalty


def test_the_penalty_changes_the_gradient_and_not_the_loss(adalora: Any, tmp_path: Path) -> None:
    for name, weight in (("off", 0.0), ("on", 1.0)):
        train(adalora(name, options={"orthogonality": weight, "rank": START}, epochs=0.2))
    off, on = tmp_path / "off", tmp_path / "on"
    assert column(off, "loss")[0] == column(on, "loss")[0], "the loss is the span loss, as with every method"
    assert column(off, "grad_norm")[0] < column(on, "grad_norm")[0]
    assert not same_weights(off, on)


def test_a_step_counts_the_penalty_once(adalora: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is made of one batch or of two."""

    def batches(self: LengthBatches) -> Iterator[list[int]]:
        rows = list(range(len(self.lengths)))
        yield from (rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size))

    monkeypatch.setattr(LengthBatches, "__iter__", batches)
    shared = {"options": {"orthogonality": 10.0}, "epochs": 1, "dropout": 0.0}
    train(adalora("whole", **shared, batch_size=8))
    train(adalora("parts", **shared, batch_size=4, gradient_accumulation=2))
    whole, parts = (tmp_path / name for name in ("whole", "parts"))
    assert column(parts, "grad_norm")[:3] == pytest.approx(column(whole, "grad_norm")[:3], rel=1e-3)
    assert column(parts, "ranks") == column(whole, "ranks")


def test_a_step_that_was_left_out_is_told(adalora: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a loss scale that overflows makes the optimiser do under fp16."""
    told: list[tuple[int, int, bool]] = []
    real = RankBudget.after_step

    def after_step(self: RankBudget, step: int, steps: int, *, learned: bool = True) -> None:
        told.append((step, steps, learned))
        real(self, step, steps, learned=learned)

    monkeypatch.setattr(RankBudget, "after_step", after_step)
    monkeypatch.setattr(Accelerator, "optimizer_step_was_skipped", property(lambda self: len(told) in (0, 2)))
    train(adalora(epochs=0.6))
    assert told == [(1, 5, False), (2, 5, True), (3, 5, False), (4, 5, True), (5, 5, True)]


# Resuming


@pytest.fixture(scope="module")
def whole(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(TrainConfig(**{**settings, **SETTINGS, "output": str(folder)}))
    return folder


def stop_and_go_on(step: int, config: TrainConfig, again: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        real = GracefulStop.on_step_end

        def stop(self: GracefulStop, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            self.asked = state.global_step == step
            return real(self, args, state, control, **rest)

        patched.setattr(GracefulStop, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    train(again)


@pytest.mark.parametrize("step", [5, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (LAST - 1, 14))])
def test_resumed_ranks_are_the_uninterrupted_ones(
    step: int, adalora: Any, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While they fall, before the last change, and behind it."""
    stop_and_go_on(step, adalora(), adalora(resume=True), monkeypatch)
    run = tmp_path / "run"
    assert same_weights(run, whole) and history(run) == history(whole)
    one, other = RunRecord.read(run), RunRecord.read(whole)
    assert one.metrics == other.metrics and one.best == other.best and one.notes == other.notes
    assert (run / "predictions.json").read_bytes() == (whole / "predictions.json").read_bytes()


@pytest.mark.exhaustive
def test_a_budget_that_forgets_is_noticed(
    adalora: Any, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RankBudget, "load_state", lambda *_: None)
    stop_and_go_on(5, adalora(), adalora(resume=True), monkeypatch)
    mine, right = weights(tmp_path / "run"), weights(whole)
    assert any(not weight.equal(right[name]) for name, weight in mine.items())
