"""The settings of a study: what is compared, how hyperparameters are chosen, and how long it may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from spantune.config.training import (
    SEED,
    AboveZero,
    Allowed,
    ConfigGroup,
    Count,
    EncoderConfig,
    Folder,
    NotNegative,
    RunConfig,
    once,
)

_TWO_OR_MORE = Allowed("2 or more", lambda value: value >= 2)


@dataclass(frozen=True)
class SweepConfig(ConfigGroup):
    """Phase one, on request: choose hyperparameters for each method on a subset, by the F1 on its selection split."""

    sweep: Annotated[tuple[str, ...], once("value")] = ()
    """What to choose: `learning-rate`, another training setting (`weight-decay`) or an option (`lora.rank`).
    Default: nothing; each method keeps its defaults."""
    grid: tuple[str, ...] = ()
    """Values to try: `lora.learning-rate=1e-3,2e-3`, `weight-decay=0.01,0.1`; if a value has commas, separate
    values with semicolons: `lora.targets=query,value;linear`; with Optuna also a range: `lora.rank=4..64:log`. Default
    for the learning rate: each method's own grid."""
    sweep_examples: Annotated[int, _TWO_OR_MORE] = 1000
    """Training examples for each run of the sweep, including its selection split."""
    sweep_epochs: AboveZero = 1.0
    """Passes over them."""
    sweep_extend: Annotated[int, Allowed("0 or more", lambda value: value >= 0)] = 2
    """How often to extend a grid if its best value is the first or last."""
    refit: bool = False
    """Phase two also trains on the selection split: all the data, for the given epochs, keeping the last weights."""
    search: Literal["grid", "optuna"] = "grid"
    """Try every combination of the grid, or let Optuna choose `trials` of them (`pip install spantune[optuna]`)."""
    trials: Annotated[int, _TWO_OR_MORE] = 12
    """Runs that Optuna may start for each method and encoder."""
    storage: str | None = None
    """Where Optuna keeps its trials, so that workers can share them; default: an SQLite file in the study folder."""

    def problems(self) -> Iterable[str | None]:
        for key, wanted in (("grid", self.grid), ("search", self.search != "grid")):
            if wanted and not self.sweep:
                yield f"{key}: given, but nothing is swept; name it in sweep as well"
        if self.refit and not self.sweep:
            yield "refit: given, but nothing is swept; --selection-fraction 0 alone trains on all the data"
        if self.storage is not None and self.search != "optuna":
            yield "storage: given, but the search is a grid; it is for --search optuna"


@dataclass(frozen=True)
class CompareConfig(RunConfig, SweepConfig):
    """Compare methods on the same data: sweeps, seeds, one report. Continues where it was stopped."""

    methods: Annotated[tuple[str, ...], once("value")] = ()
    """The methods to compare; default: all that `spantune methods` lists."""
    models: Annotated[tuple[str, ...], once("value")] = ()
    """The encoders to compare the methods on; default: the one that `model` names."""
    seeds: Annotated[tuple[int, ...], once("value")] = (0,)
    """Train each method once with every seed; the table shows mean and spread."""
    floor: bool = False
    """Also score the untrained `model`, as a baseline; useful if it already answers questions."""
    output: Folder = "studies/compare"
    """Study folder, with a run folder for each method and seed, the table and the plots."""
    overwrite: bool = False
    """Retrain the runs in this folder that have other settings, instead of refusing."""
    budget_minutes: AboveZero | None = None
    """Minutes that the study may take; a few steps of each method are timed, and runs that do not fit are left out."""
    plan: bool = field(default=False, metadata={"one_way": True})
    """Time a few steps of each method, print the plan with the expected time, and stop."""
    workers: Count = 1
    """Runs at the same time. They share the cores and are distributed over the GPUs."""
    executor: Literal["local", "ray"] = "local"
    """Where the runs are executed: on this machine, or on a Ray cluster (`pip install spantune[ray]`)."""
    ray_address: str = "auto"
    """The cluster: `auto` (the one started on this machine), `HOST:6379` or `ray://HOST:10001`."""
    ray_cpus: AboveZero = 1.0
    """CPUs that each run requests from the cluster."""
    ray_gpus: NotNegative = 0.0
    """GPUs that each run requests from the cluster."""
    seed: int = field(default=0, metadata={"hidden": True})
    """Set for each run from `seeds`."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The options of each compared method by its name (flags: `--lora.rank 16`)."""

    def problems(self) -> Iterable[str | None]:
        if not self.seeds:
            yield "seeds: expected at least one seed, found nothing"
        yield from (SEED.problem("seeds", seed) for seed in self.seeds)
        if self.models and self.model != EncoderConfig.model:
            yield f"models: given together with model ({self.model}); name every encoder in models"
        if self.sweep and self.selection_fraction <= 0:
            yield "sweep: chooses on the selection split; set selection-fraction above 0"
        if self.refit and self.early_stopping is not None:
            yield "refit: leaves no selection split to early-stopping; give one of them"

    @property
    def encoders(self) -> tuple[str, ...]:
        return self.models or (self.model,)
