"""What a study consists of: its arms, the runs of their sweeps and their final runs, as `train` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from spantune.config import CompareConfig, RunConfig, TrainConfig
from spantune.methods import PLAIN, get, methods
from spantune.runs import distinct_names
from spantune.studies.parameters import Parameter, Values, applied, swept

SWEEP = "sweep"
"""Folder of the sweep's runs in the study folder."""
SWEEP_BUDGET = frozenset({"max_train_examples", "epochs", "seed"})
"""Settings of a sweep's own runs: other values start the sweep over."""
TRIAL = "trial-"
"""How the label of one of Optuna's trials begins; its number follows."""
FLOOR = "unadapted"
"""The arm that scores an encoder as it is."""
_PROBE_STEPS = 6


@dataclass(frozen=True)
class Arm:
    """A method on an encoder: what is compared.

    Attributes:
        folder: how the names of its run folders begin. parameters: what its sweep chooses; () without one.
        learns: whether it is trained at all; the floor is not.
    """

    method: str
    model: str
    title: str
    folder: str
    parameters: tuple[Parameter, ...] = ()
    learns: bool = True


def arms(config: CompareConfig) -> tuple[Arm, ...]:
    """Methods by encoders, in the order in which they were given; after those of an encoder its floor, if wanted.

    Raises:
        UserError: a method, an option or the sweep is not valid.
    """
    names = distinct_names(Path(model).name or model for model in config.encoders)
    several = len(names) > 1
    compared = tuple(config.methods or methods())
    base = {method: _run(config, method, config.encoders[0], config.seeds[0]) for method in compared}
    parameters = swept(config, base)
    lines = [(method, method, parameters[method]) for method in compared]
    lines += [(FLOOR, PLAIN, ())] * config.floor
    return tuple(
        Arm(
            method,
            model,
            title=f"{title} on {name}" if several else title,
            folder=f"{name}-{title}" if several else title,
            parameters=chosen,
            learns=title != FLOOR,
        )
        for model, name in zip(config.encoders, names, strict=True)
        for title, method, chosen in lines
    )


def final_run(config: CompareConfig, arm: Arm, seed: int, chosen: Values) -> TrainConfig:
    """A run on all the data, scored on the reported set at its end.

    With `refit` the settings are chosen and there is nothing left to select: all examples train (as `refit` does in
    scikit-learn's searches).
    """
    run = _run(config, arm.method, arm.model, seed)
    if config.refit:
        run = replace(run, selection_fraction=0.0)
    if not arm.learns:
        run = replace(run, epochs=0.0, start_from=())
    return replace(applied(run, arm.parameters, chosen), output=str(Path(config.output) / final_name(arm, seed)))


def final_name(arm: Arm, seed: int) -> str:
    return f"{arm.folder}-{seed}"


def sweep_run(config: CompareConfig, arm: Arm, label: str, values: Values) -> TrainConfig:
    """A run on the subset that ends with its score on the selection split: it never reads the reported set."""
    run = _small(_run(config, arm.method, arm.model, config.seeds[0]), config.sweep_examples)
    run = replace(run, epochs=config.sweep_epochs, output=str(Path(config.output) / sweep_name(arm, label)))
    return applied(run, arm.parameters, values)


def sweep_name(arm: Arm, label: str) -> str:
    return f"{SWEEP}/{arm.folder}-{label}"


def probe_run(config: CompareConfig, arm: Arm, folder: Path) -> TrainConfig:
    """A few steps of a final run, to be timed."""
    run = _run(config, arm.method, arm.model, config.seeds[0])
    learned = _PROBE_STEPS * config.batch_size * config.gradient_accumulation
    run = _small(run, max(2, round(learned / (1 - config.selection_fraction))))
    return replace(run, epochs=float(arm.learns), evals_per_epoch=1, mlflow=False, output=str(folder / arm.folder))


def own_keys(arms: Sequence[Arm]) -> frozenset[str]:
    """Settings that differ between methods, so other values of them do not make another study."""
    chosen = {parameter.name for arm in arms for parameter in arm.parameters if not parameter.option}
    return frozenset({"options", "learning_rate", *chosen})


def _run(config: CompareConfig, method: str, model: str, seed: int) -> TrainConfig:
    get(method)  # raises MethodError for a mistyped name
    shared: dict[str, Any] = {field.name: getattr(config, field.name) for field in fields(RunConfig)}
    return TrainConfig(
        **{**shared, "model": model, "seed": seed}, method=method, options=config.options.get(method, {})
    )


def _small(run: TrainConfig, examples: int) -> TrainConfig:
    """On at most so many examples; nothing is read or measured that does not help to choose."""
    limit = min(examples, run.max_train_examples or examples)
    nothing: dict[str, Any] = {"score_reported": False, "also_evaluate": (), "semantic": False, "cost_seconds": 0.0}
    return replace(run, max_train_examples=limit, **nothing)
