"""What to do with a run of a study: run it, resume it, or leave it as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

from spantune.config import DataConfig, TrainConfig
from spantune.data import load_splits
from spantune.errors import RunError, UserError
from spantune.runs import DataRecord, RunFolder, RunRecord
from spantune.runs.damage import damage_of
from spantune.training.code_version import code_version, is_other_code
from spantune.training.run_settings import changed, resolve, unmeasured

Plan = Literal["run", "resume", "done"]
_SETS = {"train": "the training data", "reported": "the reported set"}


@dataclass(frozen=True)
class DataFacts:
    """What a study needs to know of a run's data before the run.

    Attributes:
        sets: by name, as the run's record will have them.
        shared_contexts: number of contexts of the reported set that are also trained on.
    """

    sets: Mapping[str, DataRecord]
    shared_contexts: int = 0


Facts = Callable[[TrainConfig], DataFacts | None]


def facts_as_they_are() -> Facts:
    """A function that reads the data of a configuration, the same data once; None if they cannot be read.

    Each study makes its own: the data may change before the next one.
    """

    @cache
    def read(data: DataConfig, seed: int) -> DataFacts | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the run itself says what there is to say
                splits = load_splits(data, seed)
        except UserError:
            return None
        sets = {"train": splits.train, "selection": splits.selection, "reported": splits.reported}
        known = {name: corpus for name, corpus in sets.items() if corpus is not None}
        return DataFacts(
            {name: DataRecord(data.data, corpus.fingerprint, len(corpus.examples)) for name, corpus in known.items()},
            splits.shared_contexts,
        )

    def facts(config: TrainConfig) -> DataFacts | None:
        settings = {field.name: getattr(config, field.name) for field in fields(DataConfig)}
        return read(DataConfig(**settings), config.seed)

    return facts


def plan_of(config: TrainConfig, facts: Facts, *, keeps_model: bool = True) -> tuple[Plan, str]:
    """`run` it, `resume` it from its last checkpoint, or leave it since it is `done`; and the reason, for the user.

    A damaged record is `run` again; what a finished run has lost, `resume` brings back.

    Args:
        keeps_model: False for a run whose model is thrown away once it is scored.

    Raises:
        MethodError: the method's options are wrong. RunError: the folder holds other things than a run.
    """
    config = resolve(config)
    folder = RunFolder(Path(config.output))
    folder.refuse_others()
    try:
        before = RunRecord.read_if_there(folder.path)
    except RunError as error:
        return "run", f"damaged: {error.problem} ({error.where})"
    if before is None:
        return "run", "new"
    if differences := changed(config, before):
        return "run", f"changed: {'; '.join(differences.values())}"
    known = facts(config)
    for key, name in _SETS.items():
        if known and key in before.data and not _same(before.data[key], known.sets.get(key)):
            return "run", f"changed: {name}"
    if before.teachers or before.started_from or before.began_with:
        from spantune.training.lineage import Origins

        if others := Origins.of(config).changed_since(before):
            return "run", f"changed: trained again since: {', '.join(others)}"
    if is_other_code(before.code, code_version(config.method)):
        return "run", "changed: spantune's code"
    if before.status == "finished":
        if damage := damage_of(folder.path, before, keeps_model=keeps_model):
            return "resume", f"finished before, but damaged: {damage}"
        if lacking := unmeasured(config, before):
            return "resume", f"finished before; to be measured: {', '.join(lacking)}"
        return "done", "finished before"
    if before.status == "failed":
        why = f"failed before: {(before.reason or 'no reason given').splitlines()[0]}"
        return "resume" if folder.checkpoints.exists() else "run", why
    return "resume", "died before" if before.status == "died" else "interrupted before"


def _same(record: DataRecord, other: DataRecord | None) -> bool:
    return other is not None and record.fingerprint == other.fingerprint


def record_in(folder: Path) -> RunRecord | None:
    """The record in a run folder; None if there is none or it cannot be read."""
    try:
        return RunRecord.read(folder)
    except RunError:
        return None


def shared_differences(config: TrainConfig, own: frozenset[str]) -> list[str]:
    """In words, the settings in which the run in this folder differs from `config`.

    Args:
        own: settings that do not count: those of a single method, and those that a sweep chooses.
    """
    folder = RunFolder(Path(resolve(config).output))
    before = record_in(folder.path)
    if before is None or not any(path.exists() for path in (folder.history, folder.checkpoints, folder.adapter)):
        return []  # it ended before its first step (a mistyped encoder, say) and has nothing to lose
    return [text for key, text in changed(resolve(config), before).items() if key not in own]
