"""The resolved configuration of a run, and whether another run had the same. No torch."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from spantune.config import AFTERWARDS, BOOKKEEPING, PredictorConfig, TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.methods import get
from spantune.runs import RunRecord


def resolve(config: TrainConfig) -> TrainConfig:
    """The configuration with everything filled in that the method decides, and the run folder's name."""
    method = get(config.method)
    try:
        output = config.output.format(method=config.method, model=Path(config.model).name, seed=config.seed)
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            "the output folder's name cannot be filled in",
            where="output",
            expected="a path that may hold {method}, {model} and {seed}",
            found=config.output,
        ) from error
    return replace(
        config,
        options=asdict(method.resolve(config.options)),
        learning_rate=config.learning_rate or method.learning_rate,
        output=output,
    )


def predicting(config: TrainConfig) -> PredictorConfig:
    """How a run's models answer: its own at its end, and its teachers."""
    return PredictorConfig(
        device=config.device,
        precision=config.precision,
        eval_batch_size=config.eval_batch_size,
        max_answer_length=config.max_answer_length,
    )


def changed(config: TrainConfig, before: RunRecord) -> dict[str, str]:
    """By key the settings of a resolved configuration that differ from a recorded run's and change its numbers, each
    with both values."""
    then = {**TrainConfig().as_dict(), **before.config}  # a setting that came later was at its default
    return {
        key: f"{key.replace('_', '-')}: {then[key]!r} then, {value!r} now"
        for key, value in config.as_dict().items()
        if key not in BOOKKEEPING | AFTERWARDS and then[key] != value
    }


def unmeasured(config: TrainConfig, record: RunRecord) -> tuple[str, ...]:
    """In words, what a configuration asks to measure of a trained model and its run's record does not have."""
    scored = {record.data[name].sources: name for name in record.further if name in record.data}
    lacking = [f"the set {source}" for source in config.also_evaluate if (source,) not in scored]
    if config.semantic:
        judged = ("reported", *(scored[(source,)] for source in config.also_evaluate if (source,) in scored))
        lacking += [f"meaning ({name})" for name in judged if "semantic" not in record.metrics.get(name, ("semantic",))]
    if config.cost_seconds != 0 and not record.answering:
        lacking.append("answering speed")
    return tuple(lacking)


def other_data(before: RunRecord, fingerprint: str | None) -> bool:
    """Whether a recorded run learned from other examples than those of `fingerprint` (None: unknown)."""
    trained = before.data.get("train")
    return trained is not None and fingerprint is not None and trained.fingerprint != fingerprint


def refuse_other_data(before: RunRecord, fingerprint: str) -> None:
    """RunError if a run would be resumed on other examples than those that it was started with."""
    if other_data(before, fingerprint):
        raise RunError(
            "the training data has changed since the run was started",
            where=", ".join(before.data["train"].sources),
            expected=f"examples with the digest {before.data['train'].fingerprint[:12]}",
            found=fingerprint[:12],
            fix="bring the data back, or start over with --overwrite",
        )


def refuse_changes(config: TrainConfig, before: RunRecord) -> None:
    """ConfigError if a run would be resumed with a configuration that gives other numbers."""
    if differences := changed(config, before):
        raise ConfigError(
            "the run was started with another configuration:\n  " + "\n  ".join(differences.values()),
            where=config.output,
            fix="resume with the same settings, or start over with --overwrite",
        )
