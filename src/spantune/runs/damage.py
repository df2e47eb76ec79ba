"""What a finished run should have and has not: a run is only finished while its model and its answers are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spantune.errors import RunError
from spantune.runs.digests import altered, digests_of, refuse_altered
from spantune.runs.folder import HISTORY, N_BEST, NULL_ODDS, PREDICTIONS, RunFolder
from spantune.runs.manifest import MANIFEST, WEIGHTS, known_method, read_manifest
from spantune.runs.record import RunRecord

_DESCRIPTION = f"adapter/{MANIFEST}"
_ANSWER_AGAIN = "`spantune train --resume` (or the same `spantune compare`) answers again, or bring the file back"


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


def recorded_files(run: Path) -> dict[str, str]:
    """The digests that a finished run's record keeps: answers, history, and the model's description, which has those of
    the model's files."""
    return digests_of(run, (PREDICTIONS, N_BEST, NULL_ODDS, HISTORY, _DESCRIPTION))


def damage_of(run: Path, record: RunRecord, *, keeps_model: bool = True) -> Damage:
    """What the run of a finished record has lost.

    Args:
        keeps_model: False for a run whose model is thrown away once it is scored, such as a sweep's.
    """
    folder = RunFolder(run)
    answers = altered(run, _of_answers(record))
    if "reported" in record.metrics and PREDICTIONS not in record.files and not folder.predictions.is_file():
        answers = (f"{folder.predictions} is gone",)
    if not keeps_model:
        return Damage(answers=answers)
    described = {name: digest for name, digest in record.files.items() if name == _DESCRIPTION}
    return Damage(altered(run, described) or _lost_from_model(folder.adapter), answers)


def refuse_damaged_answers(run: Path, record: RunRecord) -> None:
    """RunError where a finished run's answers are not as they were written."""
    refuse_altered(run, _of_answers(record), "run", _ANSWER_AGAIN)


def refuse_others_model(run: Path) -> None:
    """RunError where the model in a run's folder is not the one that its record describes."""
    try:
        record = RunRecord.read_if_there(run)
    except RunError:
        return  # who reads the record says so; the model has digests of its own
    if record is not None:
        described = {name: digest for name, digest in record.files.items() if name == _DESCRIPTION}
        refuse_altered(run, described, "run", "bring the run's own model back, or train again")


def history_fault(run: Path, record: RunRecord) -> str | None:
    """What has happened to a finished run's history, in words; None where it is as it was written."""
    return next(iter(altered(run, {name: one for name, one in record.files.items() if name == HISTORY})), None)


def _of_answers(record: RunRecord) -> dict[str, str]:
    return {name: digest for name, digest in record.files.items() if name in (PREDICTIONS, N_BEST, NULL_ODDS)}


def _lost_from_model(adapter: Path) -> tuple[str, ...]:
    try:
        manifest = read_manifest(adapter)
        method, _ = known_method(manifest.identity, adapter)
    except RunError as error:
        return (f"{error.problem} ({error.where})",)
    if manifest.files:
        return altered(adapter, manifest.files)
    if not method.whole_encoder:
        return _gone(adapter / WEIGHTS)
    whole = any((adapter / f"model.safetensors{end}").is_file() for end in ("", ".index.json"))
    return () if whole else _gone(adapter / "model.safetensors")


def _gone(path: Path) -> tuple[str, ...]:
    return () if path.is_file() else (f"{path} is gone",)
