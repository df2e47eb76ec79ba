"""Quality: the same run with and without the fast path, several seeds each. Minutes to hours: only with `--long`.

Without the fast path means: fp32, stock attention (where the method does not need ours), windows in random order,
every one padded to `max_length`. Everything that decides what is learned stays: data, seeds, rates, epochs, batch size.
The figure is the difference of the mean F1, beside the spread over seeds on either side.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.material import encoder
from benchmarks.plan import Plan
from benchmarks.results import Bar, Figure, Part
from spantune.config import PredictorConfig, TrainConfig
from spantune.data import load_corpus

if TYPE_CHECKING:
    from spantune.config.training import Precision
    from spantune.training.trainer import SpanTrainer

METHOD = "lora"


@dataclass(frozen=True)
class Scores:
    """F1 (0 to 100) of one side, a seed each."""

    f1: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.mean(self.f1)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 for one."""
        return statistics.stdev(self.f1) if len(self.f1) > 1 else 0.0


def measure(plan: Plan) -> Part:
    """No figures where the plan has no seeds for it."""
    if not plan.quality_seeds:
        return Part("quality", ())
    with tempfile.TemporaryDirectory() as scratch:
        plan = replace(plan, model=encoder(plan.model, Path(scratch)))
        fast, slow = (quality(plan, METHOD, plan.quality_seeds, fast=fast) for fast in (True, False))
    return Part("quality", (_figure(fast, slow),), details={"fast": fast.f1, "slow": slow.f1})


def quality(plan: Plan, method: str, seeds: Sequence[int], *, fast: bool) -> Scores:
    """Train on the plan's data and score on its validation split, once for each seed."""
    with tempfile.TemporaryDirectory() as scratch:
        return Scores(tuple(_f1(plan, method, seed, Path(scratch), fast=fast) for seed in seeds))


def _f1(plan: Plan, method: str, seed: int, folder: Path, *, fast: bool) -> float:
    from spantune.answering import Predictor

    precision: Precision = TrainConfig().precision if fast else "fp32"
    config = ours.config_of(plan, method, seed=seed, precision=precision, epochs=plan.quality_epochs)
    train, reported = (load_corpus(plan.data, split=split) for split in ("train", "validation"))
    trainer = ours.trainer(config, train, folder)
    if not fast:
        _slow_down(trainer, seed)
    trainer.train()
    predicting = PredictorConfig(device=plan.device, precision=precision)
    predictor = Predictor(trainer.model, trainer.tokenizer, ours.settings(plan), predicting)
    return ours.evaluate(predictor, reported)["f1"]


def _slow_down(trainer: SpanTrainer, seed: int) -> None:
    """Stock attention and LoRA layers, and a loader of whole windows in random order."""
    import torch
    from peft.tuners.lora.layer import Linear
    from torch.nn import functional
    from torch.utils.data import DataLoader

    from spantune.answering.batches import training_batch
    from spantune.modeling.kernels.fused_lora import FusedLoraLinear

    if trainer.model.virtual is None:
        trainer.model.network.set_attn_implementation("sdpa")
    for module in trainer.model.modules():
        if isinstance(module, FusedLoraLinear):
            module.__class__ = Linear  # type: ignore[assignment]
    pad = {"input_ids": trainer.tokenizer.pad_token_id}

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        batch = training_batch(columns, pad_token_id=pad["input_ids"], which=trainer.config.labels)
        missing = trainer.max_length - batch["input_ids"].shape[1]
        per_token = {"input_ids", "attention_mask", "token_type_ids", "allowed"} & batch.keys()
        wide = {key: functional.pad(batch[key], (0, missing), value=pad.get(key, 0)) for key in per_token}
        return {"parts": [{**batch, **wide}], "windows": len(rows)}

    def loader() -> DataLoader[Any]:
        made: DataLoader[Any] = DataLoader(
            trainer.train_dataset,  # type: ignore[arg-type]
            batch_size=trainer.config.batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
            collate_fn=collate,
        )
        return trainer.accelerator.prepare(made)

    trainer.get_train_dataloader = loader  # type: ignore[method-assign]


def _figure(fast: Scores, slow: Scores) -> Figure:
    """Met where the means differ by no more than the larger spread over seeds."""
    note = f"F1 {fast.mean:.2f} ± {fast.spread:.2f} with, {slow.mean:.2f} ± {slow.spread:.2f} without"
    bar = Bar(max(fast.spread, slow.spread), "at most")
    what = f"difference of F1 with and without the fast path, {METHOD}, {len(fast.f1)} seeds"
    return Figure(what, abs(fast.mean - slow.mean), "F1", bar=bar, note=note)
