"""The runs that a run learns from (teachers and starting points), and whether they have changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spantune.answering.predictor import model_folder
from spantune.config import TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.runs import RunRecord
from spantune.runs.digests import sha256_of
from spantune.runs.manifest import saved_in


@dataclass(frozen=True)
class Origins:
    """Digests of the current model folders; they cover settings, encoder and weights.

    Attributes:
        teachers, started_from: by name.
        began_with: of the run that `model` names; None if `model` names an encoder.
    """

    teachers: Mapping[str, str]
    started_from: Mapping[str, str]
    began_with: str | None

    @classmethod
    def of(cls, config: TrainConfig) -> Origins:
        """RunError if a teacher or a run to start from is not a finished run."""
        run = saved_in(config.model)
        return cls(digests(config.teachers), digests(config.start_from), _digest(run) if run else None)

    def changed_since(self, before: RunRecord) -> list[str]:
        """Names of the models that differ from those in the record; a digest missing on either side is ignored."""
        then = {before.model: before.began_with, **before.started_from, **before.teachers}
        now = {before.model: self.began_with, **self.started_from, **self.teachers}
        return [name for name, digest in now.items() if digest and then.get(name) and then[name] != digest]


def digests(runs: Iterable[str]) -> dict[str, str]:
    """The digest of each run's model, by name; RunError if one is not a finished run."""
    return {run: _digest(model_folder(run)) for run in runs}


def refuse_own_folder(config: TrainConfig) -> None:
    """ConfigError if a run would overwrite a model that it learns from."""
    own = Path(config.output).resolve()
    named = {"model": (config.model,), "teachers": config.teachers, "start_from": config.start_from}
    for key, name in ((key, name) for key, names in named.items() for name in names):
        place = Path(name).resolve()
        if place.exists() and (own == place or own in place.parents):  # `minilm` and `zoo/lora` are no paths
            raise ConfigError(
                "a run cannot be written over what it learns from",
                where=f"output: {config.output}",
                expected="another folder",
                found=f"that of {key.replace('_', '-')} {name}",
                fix="choose another --output",
            )


def refuse_other_origins(before: RunRecord, now: Origins) -> None:
    """RunError if a run would be resumed with other models than it was started with."""
    if others := now.changed_since(before):
        raise RunError(
            "what the run learns from has changed since it was started",
            where=", ".join(others),
            expected="the models that it began to learn from",
            found="others of the same name",
            fix="bring them back, or start over with --overwrite",
        )


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    known = [(path.name, sha256_of(path)) for path in files]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
