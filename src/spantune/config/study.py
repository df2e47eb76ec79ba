"""The settings of a study: what is compared, how settings are chosen for each method, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spantune.config.training import Checked, EncoderConfig, RunConfig, check, check_seed


@dataclass(frozen=True)
class SweepConfig(Checked):
    """Phase one, on request: settings are chosen for each method on a subset, by the F1 on its selection split."""

    sweep: tuple[str, ...] = ()
    """What is chosen: `learning-rate`, another setting of the training (`weight-decay`) or an option (`lora.rank`).
    Default: nothing, each method takes its own defaults."""
    grid: tuple[str, ...] = ()
    """Values to try: `lora.learning-rate=1e-3,2e-3`, `weight-decay=0.01,0.1`; where a value has commas, semicolons
    between them: `lora.targets=query,value;linear`; with Optuna also a range: `lora.rank=4..64:log`. Default for the
    learning rate: each method's own grid."""
    sweep_examples: int = 1000
    """Training examples of a run of the sweep, its selection split included."""
    sweep_epochs: float = 1.0
    """Passes over them."""
    sweep_extend: int = 2
    """Where the best value is the first or last of its grid, go on beyond it so often."""
    refit: bool = False
    """Phase two trains on the selection split too: all the data, for the given epochs, the last weights kept."""
    search: Literal["grid", "optuna"] = "grid"
    """Try every combination of the grid, or let Optuna choose `trials` of them (`pip install spantune[optuna]`)."""
    trials: int = 12
    """Runs that Optuna may make for each method and encoder."""
    storage: str | None = None
    """Where Optuna keeps its trials, for several workers to share them; default: a SQLite file in the study folder."""

    def problems(self) -> list[str | None]:
        return [
            _each_once("sweep", self.sweep),
            check(self.sweep_examples >= 2, "sweep_examples", "2 or more", self.sweep_examples),
            check(self.sweep_epochs > 0, "sweep_epochs", "above 0", self.sweep_epochs),
            check(self.sweep_extend >= 0, "sweep_extend", "0 or more", self.sweep_extend),
            check(self.trials >= 2, "trials", "2 or more", self.trials),
            *(
                None if self.sweep or not given else f"{key}: given, but nothing is swept; name it in sweep as well"
                for key, given in (("grid", self.grid), ("search", self.search != "grid"))
            ),
            None
            if self.sweep or not self.refit
            else "refit: given, but nothing is swept; --selection-fraction 0 alone trains on all the data",
            None
            if self.storage is None or self.search == "optuna"
            else "storage: given, but the search is a grid; it is for --search optuna",
        ]


@dataclass(frozen=True)
class CompareConfig(RunConfig, SweepConfig):
    """Methods, encoders and seeds on the same data: one table. What is done already is not run again."""

    methods: tuple[str, ...] = ()
    """The methods to compare; default: all that `spantune methods` lists."""
    models: tuple[str, ...] = ()
    """The encoders to compare the methods on; default: the one that `model` names."""
    seeds: tuple[int, ...] = (0,)
    """Each method is trained once with every seed; the table shows mean and spread."""
    floor: bool = False
    """Also score the encoder as it is: what adapting it must beat. For a `model` that answers questions already."""
    output: str = "studies/compare"
    """Study folder: a run folder for each method and seed, the table and the plots."""
    overwrite: bool = False
    """Run again what was trained with other settings in this folder, instead of refusing."""
    budget_minutes: float | None = None
    """Minutes that the study may take: a few steps of each method are timed, and what does not fit is left out."""
    plan: bool = field(default=False, metadata={"one_way": True})
    """Time a few steps of each method, print the plan with what it will take, and stop."""
    workers: int = 1
    """Runs at the same time. They share the cores; several GPUs are shared out among them."""
    executor: Literal["local", "ray"] = "local"
    """Where the runs are carried out: on this machine, or on a Ray cluster (`pip install spantune[ray]`)."""
    ray_address: str = "auto"
    """The cluster: `auto` (the one started on this machine), `HOST:6379` or `ray://HOST:10001`."""
    ray_cpus: float = 1.0
    """CPUs that a run asks of the cluster."""
    ray_gpus: float = 0.0
    """GPUs that a run asks of the cluster."""
    seed: int = field(default=0, metadata={"hidden": True})
    """Set for each run from `seeds`."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The options of each compared method by its name (flags: `--lora.rank 16`)."""

    def problems(self) -> list[str | None]:
        budget, both = self.budget_minutes, bool(self.models) and self.model != EncoderConfig.model
        return [
            None if self.seeds else "seeds: expected at least one seed, found nothing",
            *(check_seed(one, "seeds") for one in self.seeds),
            check(bool(self.output.strip()), "output", "a folder", self.output),
            *(_each_once(key, getattr(self, key)) for key in ("seeds", "methods", "models")),
            f"models: given together with model ({self.model}); name every encoder in models" if both else None,
            check(budget is None or budget > 0, "budget_minutes", "above 0", budget),
            check(self.workers >= 1, "workers", "1 or more", self.workers),
            check(self.ray_cpus > 0, "ray_cpus", "above 0", self.ray_cpus),
            check(self.ray_gpus >= 0, "ray_gpus", "0 or more", self.ray_gpus),
            None
            if self.selection_fraction > 0 or not self.sweep
            else "sweep: chooses on the selection split; set selection-fraction above 0",
            None
            if self.early_stopping is None or not self.refit
            else "refit: leaves no selection split to early-stopping; give one of them",
        ]

    @property
    def encoders(self) -> tuple[str, ...]:
        return self.models or (self.model,)


def _each_once(key: str, values: tuple[Any, ...]) -> str | None:
    return check(len(set(values)) == len(values), key, "each value once", values)
