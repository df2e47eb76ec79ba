"""The runs of a study: one for each method and seed, and what is to be done about each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from spantune.config import CompareConfig, RunConfig, TrainConfig
from spantune.errors import RunError
from spantune.methods import get, methods
from spantune.records import RunRecord
from spantune.training.resolve import changed, resolve

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
        return Path(self.config.output)

    @property
    def name(self) -> str:
        return f"{self.config.method}, seed {self.config.seed}"


def cells(config: CompareConfig) -> list[Cell]:
    """Every run of the study with its plan; MethodError where a method or its options are wrong."""
    return [
        _planned(_train_config(config, method, seed)) for method in config.methods or methods() for seed in config.seeds
    ]


def _train_config(config: CompareConfig, method: str, seed: int) -> TrainConfig:
    shared = {one.name: getattr(config, one.name) for one in fields(RunConfig)}
    get(method).resolve(config.options.get(method, {}))
    return TrainConfig(
        **{
            **shared,
            "method": method,
            "seed": seed,
            "options": config.options.get(method, {}),
            "output": str(Path(config.output) / f"{method}-{seed}"),
        }
    )


def _planned(config: TrainConfig) -> Cell:
    folder = Path(config.output)
    try:
        before = RunRecord.read(folder)
    except RunError:
        return Cell(config, "run", "new") if not folder.exists() else Cell(config, "run", "no readable record")
    if differences := changed(resolve(config), before):
        return Cell(config, "run", f"changed: {'; '.join(differences)}")
    if before.status == "finished":
        return Cell(config, "done", "finished before")
    if before.status == "failed":
        return Cell(config, "run", f"failed before: {before.reason}")
    return Cell(config, "resume", "interrupted before")
