"""How a run learns: batches and accumulation, schedules, clipping, precision, the best checkpoint, early stopping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import history, same_weights, weights
from transformers import TrainerControl, TrainerState, TrainingArguments, get_scheduler

from spantune.answering.batches import LengthBatches
from spantune.config import TrainConfig
from spantune.methods import methods
from spantune.modeling.save_load import trainable_state
from spantune.runs import RunRecord
from spantune.training import train
from spantune.training.callbacks import Cadence
from spantune.training.run_settings import resolve
from spantune.training.trainer import SpanTrainer, training_arguments

pytestmark = pytest.mark.usefixtures("no_plots")


def column(run: Path, name: str) -> list[float]:
    return [row[name] for row in history(run) if name in row]


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of neighbouring rows, so that two of 4 are one of 8."""

    def batches(self: LengthBatches) -> Iterator[list[int]]:
        rows = list(range(len(self.lengths)))
        yield from (rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size))

    monkeypatch.setattr(LengthBatches, "__iter__", batches)


@pytest.mark.usefixtures("in_order")
@pytest.mark.parametrize("examples", [pytest.param(72, marks=pytest.mark.exhaustive), 77])  # some steps are not full
def test_accumulation_is_a_larger_batch(examples: int, config: Any, tmp_path: Path) -> None:
    shared = {"max_train_examples": examples, "epochs": 1, "warmup_ratio": 0}
    whole = train(config("whole", **shared, batch_size=8))
    parts = train(config("parts", **shared, batch_size=4, gradient_accumulation=2))
    lost = train(config("lost", **shared, batch_size=4))
    assert whole.steps == parts.steps < lost.steps
    one, other = tmp_path / "whole", tmp_path / "parts"
    assert column(other, "loss") == pytest.approx(column(one, "loss"), rel=1e-3, abs=1e-4)
    assert column(other, "grad_norm") == pytest.approx(column(one, "grad_norm"), rel=1e-3, abs=1e-4)
    # Where a gradient is rounding noise, Adam blows it up: hence a share of the weights.
    assert share_apart(one, other) < 0.01 and share_apart(one, tmp_path / "lost") > 0.5


def share_apart(one: Path, other: Path) -> float:
    """Share of the weights of two runs that differ by more than a third of a step of Adam."""
    first, second = weights(one), weights(other)
    apart = torch.cat([(weight - second[name]).abs().flatten() > 1e-3 for name, weight in first.items()])
    return float(apart.float().mean())


def scored(values: list[float], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Let the evaluations during training find these F1 scores; the weights at each of them."""
    given, seen = iter(values), []
    monkeypatch.setattr("spantune.training.trainer.headline", lambda scores: {"em": 0.0, "f1": next(given)})
    real = SpanTrainer.evaluate

    def evaluate(self: SpanTrainer, *_: Any, **__: Any) -> dict[str, float]:
        seen.append(trainable_state(self.model))
        return real(self)

    monkeypatch.setattr(SpanTrainer, "evaluate", evaluate)
    return seen


@pytest.mark.parametrize(("values", "best"), [([10, 50, 50, 20], 1), ([0, 0, 0, 0], 0)])
def test_the_best_evaluations_weights_are_kept(
    values: list[float], best: int, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = scored(values, monkeypatch)
    record = train(config(epochs=2, evals_per_epoch=2))
    assert len(seen) == 4 and column(tmp_path / "run", "selection_f1") == values
    assert record.best.f1 == values[best] and record.best.step == [4, 8, 12, 16][best]
    assert record.best.epoch == (best + 1) / 2 and record.steps == 16
    kept = weights(tmp_path / "run")
    assert all(torch.equal(weight, seen[best][f"network.{name}"]) for name, weight in kept.items())
    for other in set(range(4)) - {best}:
        assert not all(torch.equal(weight, seen[other][f"network.{name}"]) for name, weight in kept.items())


@pytest.mark.parametrize(
    ("values", "evaluations"),
    [pytest.param([50, 40, 30, 60], 3, marks=pytest.mark.exhaustive), ([50, 40, 60, 50, 60, 70], 5)],
)
def test_early_stopping(
    values: list[float], evaluations: int, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = scored(values, monkeypatch)
    record = train(config(epochs=6, early_stopping=2, checkpoint_seconds=0, keep_checkpoints=True))
    assert len(seen) == evaluations and record.steps == 8 * evaluations
    assert record.best.f1 == max(values[:evaluations]) and record.status == "finished"
    kept = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert kept == [f"checkpoint-{record.steps - 2}", f"checkpoint-{record.steps - 1}"], (
        "resumed from the last step, it would go beyond its end"
    )


@pytest.mark.parametrize(
    ("evals", "last", "steps"),
    [
        (1, 16, [8, 16]),
        (3, 16, [3, 6, 8, 11, 14, 16]),
        (99, 8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (1, 12, [8, 12]),
        (1, 1, [1]),
    ],
)
def test_when_it_is_evaluated(evals: int, last: int, steps: list[int], config: Any) -> None:
    """With eight steps to an epoch."""
    cadence = Cadence(config(evals_per_epoch=evals), 8, selects=True)
    found = []
    for step in range(1, last + 1):
        state, control = TrainerState(global_step=step, max_steps=last), TrainerControl()
        if cadence.on_step_end(SimpleNamespace(device="cpu"), state, control).should_evaluate:
            found.append(step)
    assert found == steps


@pytest.mark.parametrize("selects", [True, False])
def test_all_processes_save_when_it_is_time_for_one(
    selects: bool, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their clocks differ; with a selection split and without."""
    own: list[bool] = []
    monkeypatch.setattr("spantune.training.distributed.any_of", lambda asked, _: own.append(asked) or len(own) == 3)
    cadence = Cadence(config(checkpoint_seconds=600), 8, selects=selects)
    saved = []
    for step in range(1, 9):
        state, control = TrainerState(global_step=step, max_steps=8), TrainerControl()
        if cadence.on_step_end(SimpleNamespace(device="cpu"), state, control).should_save:
            saved.append(step)
    assert own == [False] * 8 and saved == [3, 8]


def test_a_run_is_evaluated_then(config: Any, tmp_path: Path) -> None:
    assert train(config(evals_per_epoch=3, epochs=1.5)).steps == 12
    assert [row["step"] for row in history(tmp_path / "run") if "selection_f1" in row] == [3, 6, 8, 11, 12]


def rates_of(config: TrainConfig, steps: int) -> list[float]:
    """The learning rate of each step, by the scheduler that the Trainer makes of our settings."""
    made = training_arguments(
        config, Path(config.output), learning_rate=1e-3, steps=steps, device=torch.device("cpu"), dtype=torch.float32
    )
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=made.learning_rate)
    scheduler = get_scheduler(made.lr_scheduler_type, optimiser, made.get_warmup_steps(steps), steps)
    rates = []
    for _ in range(steps):
        rates += scheduler.get_last_lr()
        optimiser.step()
        scheduler.step()
    return rates


def test_schedules(config: Any, tmp_path: Path) -> None:
    train(config(schedule="cosine", warmup_ratio=0.25, learning_rate=1e-3))
    rates = {one: rates_of(config(schedule=one, warmup_ratio=0.25), 16) for one in ("linear", "cosine", "constant")}
    assert column(tmp_path / "run", "learning_rate") == rates["cosine"], "as a run has them"
    rise = [0, 0.25e-3, 0.5e-3, 0.75e-3]
    assert all(rate[:4] == pytest.approx(rise) and max(rate) == rate[4] == 1e-3 for rate in rates.values())
    assert rates["constant"][4:] == [1e-3] * 12
    assert rates["linear"][4:] == pytest.approx([1e-3 * left / 12 for left in range(12, 0, -1)])
    assert rates["cosine"][6] > rates["linear"][6] and rates["cosine"][14] < rates["linear"][14]
    assert rates_of(config(schedule="constant", warmup_ratio=0), 8) == [1e-3] * 8


def test_clipping_and_no_clipping(config: Any, tmp_path: Path) -> None:
    for name, norm in (("off", 0.0), ("never reached", 1e9), ("tight", 0.05)):
        train(config(name, max_grad_norm=norm, epochs=1))
    assert same_weights(tmp_path / "off", tmp_path / "never reached")
    assert not same_weights(tmp_path / "off", tmp_path / "tight")


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision(
    precision: str, kind: torch.dtype, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"train": set(), "eval": set()}
    real = torch.nn.functional.linear

    def linear(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        out = real(x, *rest)
        seen["train" if torch.is_grad_enabled() else "eval"].add(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    record = train(config(precision=precision, epochs=3))
    assert seen == {"train": {kind}, "eval": {kind}}
    assert record.metrics["reported"]["f1"] > 50
    assert {weight.dtype for weight in weights(tmp_path / "run").values()} == {torch.float32}


def test_dropout_is_on_while_training_and_off_afterwards(config: Any, tmp_path: Path) -> None:
    without, with_some = train(config("without", epochs=1)), train(config("some", epochs=1, dropout=0.3))
    assert column(tmp_path / "without", "loss") != column(tmp_path / "some", "loss")
    assert without.data == with_some.data
    again = RunRecord.read(tmp_path / "some").metrics["selection"]["f1"]
    assert again == with_some.best.f1, "evaluated twice with one result"


def test_the_default_learning_rate_is_the_methods_own(config: Any) -> None:
    for name, method in methods().items():
        assert resolve(config(method=name, learning_rate=None)).learning_rate == method.learning_rate
    assert resolve(config(method="lora", learning_rate=5e-4)).learning_rate == 5e-4


def test_several_gpus_in_sight_are_not_wrapped_into_one_model(config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """The Trainer's DataParallel would compute in fp32 and share batches out unrecorded."""
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 2))
    arguments = training_arguments(
        config(), tmp_path, learning_rate=1e-3, steps=10, device=torch.device("cpu"), dtype=torch.float32
    )
    assert arguments._n_gpu == 1


def test_without_a_labelled_window_the_selection_has_no_loss(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spantune.training import trainer

    real = trainer.answer_windows
    monkeypatch.setattr(trainer, "answer_windows", lambda *given, **named: replace(real(*given, **named), loss=None))
    train(config(epochs=1))
    evaluated = [row for row in history(tmp_path / "run") if "selection_f1" in row]
    assert evaluated and not any("selection_loss" in row for row in evaluated)
