"""The runs of a study: one for each method and seed, and what is to be done about each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from spantune.config import CompareConfig, DataConfig, RunConfig, TrainConfig
from spantune.data import load_splits
from spantune.errors import RunError, UserError
from spantune.methods import methods
from spantune.records import RunFolder, RunRecord
from spantune.training.resolve import changed, other_data, resolve

Plan = Literal["run", "resume", "done"]


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        config: of the run, resolved but for what `train` fills in.
        plan: `run` it, `resume` it from its last checkpoint, or leave it, it is `done`.
        why: the reason for the plan, for the user.
    """

    config: TrainConfig
    plan: Plan
    why: str

    @property
    def folder(self) -> Path:
        return Path(resolve(self.config).output)

    @property
    def name(self) -> str:
        return f"{self.config.method}, seed {self.config.seed}"


def cells(config: CompareConfig) -> list[Cell]:
    """Every run of the study with its plan.

    Raises:
        MethodError: a method or its options are wrong. RunError: other things stand in a run's folder.
    """
    fingerprint = cache(_train_fingerprint)  # for this call: the data may change before the next one
    return [
        _planned(_train_config(config, method, seed), fingerprint)
        for method in config.methods or methods()
        for seed in config.seeds
    ]


def _train_config(config: CompareConfig, method: str, seed: int) -> TrainConfig:
    shared = {one.name: getattr(config, one.name) for one in fields(RunConfig)}
    return TrainConfig(
        **{
            **shared,
            "method": method,
            "seed": seed,
            "options": config.options.get(method, {}),
            "output": str(Path(config.output) / f"{method}-{seed}"),
        }
    )


def _data_settings(config: TrainConfig) -> dict[str, Any]:
    return {one.name: getattr(config, one.name) for one in fields(DataConfig)}


def _train_fingerprint(config: DataConfig, seed: int) -> str | None:
    """Digest of the training examples as they are now; None where they cannot be read (the record is all there is)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself says what there is to say
            return load_splits(config, seed).train.fingerprint
    except UserError:
        return None


def _planned(config: TrainConfig, fingerprint: Callable[[DataConfig, int], str | None]) -> Cell:
    resolved = resolve(config)
    folder = RunFolder(Path(resolved.output))
    folder.refuse_others()
    try:
        before = RunRecord.read(folder.path)
    except RunError:
        return Cell(config, "run", "no readable record" if folder.record.exists() else "new")
    if differences := changed(resolved, before):
        return Cell(config, "run", f"changed: {'; '.join(differences)}")
    if other_data(before, fingerprint(DataConfig(**_data_settings(resolved)), resolved.seed)):
        return Cell(config, "run", "changed: the training data")
    if before.status == "finished":
        return Cell(config, "done", "finished before")
    if before.status == "failed":
        why = f"failed before: {(before.reason or 'no reason given').splitlines()[0]}"
        return Cell(config, "resume" if folder.checkpoints.exists() else "run", why)
    return Cell(config, "resume", "interrupted before")
