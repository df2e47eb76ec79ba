"""What a finished run should have and has not: a run is only finished while its model and its answers are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spantune.errors import RunError
from spantune.runs.folder import PREDICTIONS, RunFolder
from spantune.runs.manifest import WEIGHTS, known_method, read_manifest
from spantune.runs.record import RunRecord


@dataclass(frozen=True)
class Damage:
    """What a finished run has lost, in a line each, with the path of the file; both empty if it is whole.

    Attributes:
        model: of the saved model, which only training brings back. answers: of the answers on the reported set, which
            the model gives again.
    """

    model: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.model or self.answers)

    def __str__(self) -> str:
        return "; ".join((*self.model, *self.answers))


def damage_of(run: Path, record: RunRecord, *, keeps_model: bool = True) -> Damage:
    """What the run of a finished record has lost.

    Args:
        keeps_model: False for a run whose model is thrown away once it is scored, such as a sweep's.
    """
    folder = RunFolder(run)
    model = _lost_from_model(folder.adapter) if keeps_model else ()
    answers = () if "reported" not in record.metrics else _gone(folder.path / PREDICTIONS)
    return Damage(model, answers)


def _lost_from_model(adapter: Path) -> tuple[str, ...]:
    try:
        manifest = read_manifest(adapter)
        method, _ = known_method(manifest.identity, adapter)
    except RunError as error:
        return (f"{error.problem} ({error.where})",)
    if not method.whole_encoder:
        return _gone(adapter / WEIGHTS)
    whole = any((adapter / f"model.safetensors{end}").is_file() for end in ("", ".index.json"))
    return () if whole else _gone(adapter / "model.safetensors")


def _gone(path: Path) -> tuple[str, ...]:
    return () if path.is_file() else (f"{path} is gone",)
