"""The runs of a study: one for each method and seed, and what is to be done about each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from spantune.config import CompareConfig, RunConfig, TrainConfig
from spantune.errors import RunError
from spantune.methods import methods
from spantune.records import RunFolder, RunRecord
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
        return Path(resolve(self.config).output)

    @property
    def name(self) -> str:
        return f"{self.config.method}, seed {self.config.seed}"


def cells(config: CompareConfig) -> list[Cell]:
    """Every run of the study with its plan.

    Raises:
        MethodError: a method or its options are wrong. RunError: other things stand in a run's folder.
    """
    return [
        _planned(_train_config(config, method, seed)) for method in config.methods or methods() for seed in config.seeds
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


def _planned(config: TrainConfig) -> Cell:
    resolved = resolve(config)
    folder = RunFolder(Path(resolved.output))
    folder.refuse_others()
    try:
        before = RunRecord.read(folder.path)
    except RunError:
        return Cell(config, "run", "no readable record" if folder.record.exists() else "new")
    if differences := changed(resolved, before):
        return Cell(config, "run", f"changed: {'; '.join(differences)}")
    if before.status == "finished":
        return Cell(config, "done", "finished before")
    if before.status == "failed":
        return Cell(config, "run", f"failed before: {(before.reason or 'no reason given').splitlines()[0]}")
    return Cell(config, "resume", "interrupted before")
