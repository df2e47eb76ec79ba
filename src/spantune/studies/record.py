"""`study.json`: the plan of a study, what it chose and why, and how each of its runs ended.

The numbers of a run are in its own record, in its folder. `StudyRecord.read` is all that a report needs: the
protocol, the sweeps with every point, the final runs, and what failed or was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from spantune.errors import RunError
from spantune.runs import RunFolder, RunRecord, write_json_atomic
from spantune.runs.atomic_files import finite
from spantune.runs.digests import sealed
from spantune.runs.from_json import FORMAT, from_json, read_json
from spantune.runs.locks import holder
from spantune.runs.record import DIED, RECORD
from spantune.studies.run_state import record_in

STUDY = "study.json"
STUDY_LOCK = Path(".locks") / "study.lock"
"""In a study folder, held by the process that works on the study."""
_WHAT = "study's record"
Status = Literal["running", "finished", "interrupted", "failed", "died"]
RunStatus = Literal["planned", "running", "finished", "interrupted", "died", "failed", "skipped", "elsewhere"]


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        values: by parameter (`learning_rate`, `lora.rank`). folder: in the study folder.
        status: `skipped` if the time did not suffice; `elsewhere` if another worker of Optuna's ran it.
        em, f1: on the selection split, 0 to 100; None if it did not finish. questions: of that split.
        extension: 0 on the grid, n after the n-th step beyond its edge.
        reason: why it failed or was skipped. attempts: what went wrong before it was tried again in smaller portions.
    """

    values: Mapping[str, Any]
    folder: str
    status: RunStatus = "planned"
    em: float | None = None
    f1: float | None = None
    questions: int | None = None
    extension: int = 0
    reason: str | None = None
    attempts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """Phase one of a method on an encoder.

    Attributes:
        grid: by parameter the values as a text: `0.001, 0.002, 0.004`, or a range of Optuna's.
        examples, epochs: the budget of each point; examples count the selection split.
        chosen: values that the final runs take; None while it runs, and if no point finished.
        why: how they were chosen. edge: in words, if the best value is still the first or last that was tried, and why.
    """

    method: str
    model: str
    search: str
    grid: Mapping[str, str]
    examples: int
    epochs: float
    seed: int
    points: tuple[Point, ...] = ()
    chosen: Mapping[str, Any] | None = None
    why: str = ""
    edge: str | None = None


@dataclass(frozen=True)
class FinalRun:
    """A run of phase two: all the data, scored on the reported set.

    Attributes:
        folder: in the study folder. values: those that the sweep chose; {} without one.
        plan: what the last call did about it: `run`, `resume` or `done`. why: the reason for that.
        seconds: that it was expected to take; None if nothing was timed.
        reason: why it failed or was skipped. attempts: what went wrong before it was tried again in smaller portions.
    """

    method: str
    model: str
    seed: int
    folder: str
    status: RunStatus = "planned"
    values: Mapping[str, Any] = field(default_factory=dict)
    plan: str = ""
    why: str = ""
    seconds: float | None = None
    reason: str | None = None
    attempts: tuple[str, ...] = ()


R = TypeVar("R", Point, FinalRun)


@dataclass(frozen=True)
class StudyRecord:
    """One study.

    Attributes:
        folder: of the study. protocol: every setting by its key, as `spantune compare --config` takes them.
        command: that started it last. sweep_examples: of each point, if the budget allowed fewer than asked for.
        left_out: what the budget could not hold.
        notes: what a reader of the numbers must know.
    """

    folder: Path
    status: Status = "running"
    protocol: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    runs: tuple[FinalRun, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sweep_examples: int | None = None
    reason: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def damaged(self) -> tuple[str, ...]:
        """The final runs whose record cannot be read, or is gone though they have finished, in a line each."""
        lines = []
        for run in self.runs:
            path = self.folder / run.folder / RECORD
            try:
                if RunRecord.read_if_there(path.parent) is None and run.status == "finished":
                    lines.append(f"{path} is gone")
            except RunError as error:
                lines.append(f"{error.where}: {error.problem}, found: {error.found}")
        return tuple(lines)

    def require_whole(self) -> StudyRecord:
        """The study itself; RunError if a final run is `damaged`, so that no method is missing without a word."""
        if lines := self.damaged:
            raise RunError(
                f"{len(lines)} of the study's runs {'is' if len(lines) == 1 else 'are'} damaged",
                where=str(self.folder),
                expected=f"a whole {RECORD} of each run that has finished",
                found="\n".join(lines),
                fix="bring the file back, or run the same `spantune compare` again: it trains what is damaged",
            )
        return self

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The records of the final runs that have one that can be read, by encoder, method and seed."""
        records = (record_in(self.folder / run.folder) for run in self.runs)
        return tuple(record for record in records if record is not None)

    @property
    def folders(self) -> tuple[RunFolder, ...]:
        """The folders of these runs, in the same order."""
        paths = (self.folder / run.folder for run in self.runs)
        return tuple(RunFolder(path) for path in paths if record_in(path) is not None)

    @property
    def failed(self) -> tuple[FinalRun | Point, ...]:
        """Runs that failed, with their reasons."""
        return tuple(run for run in self.all_runs if run.status == "failed")

    @property
    def skipped(self) -> tuple[FinalRun | Point, ...]:
        """Runs that were planned and not begun, with their reasons."""
        return tuple(run for run in self.all_runs if run.status == "skipped")

    @property
    def all_runs(self) -> tuple[FinalRun | Point, ...]:
        """The points of the sweeps, then the final runs."""
        return (*(point for sweep in self.sweeps for point in sweep.points), *self.runs)

    def ended(self, status: Literal["interrupted", "died"]) -> StudyRecord:
        """The record in which the runs that were under way have ended with the study."""

        def run_ended(run: R) -> R:
            return replace(run, status=status) if run.status == "running" else run

        sweeps = (replace(sweep, points=tuple(map(run_ended, sweep.points))) for sweep in self.sweeps)
        return replace(self, sweeps=tuple(sweeps), runs=tuple(map(run_ended, self.runs)))

    def failures(self) -> str | None:
        """What failed and what to do about it; None if everything that was begun has finished."""
        if not self.failed:
            return None
        lines = [f"  {run.folder}: {(run.reason or 'no reason given').splitlines()[0]}" for run in self.failed]
        return "\n".join([f"{len(lines)} of the study's runs failed; the same command tries them again:", *lines])

    def write(self) -> None:
        """Write study.json, whole or not at all; RunError if that fails."""
        content = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_json_atomic(self.folder / STUDY, sealed(finite({"format": FORMAT, **content})))

    @classmethod
    def read(cls, folder: Path | str) -> StudyRecord:
        """The record of a study folder. That of a study whose process has died says so.

        Raises:
            RunError: there is none, it is broken, or another version of spantune wrote it.
        """
        study = cls._read(folder)
        if study.status != "running" or holder(study.folder / STUDY_LOCK) is not None:
            return study
        study = cls._read(folder)  # it may have ended since
        return study if study.status != "running" else replace(study.ended("died"), status="died", reason=DIED)

    @classmethod
    def _read(cls, folder: Path | str) -> StudyRecord:
        path, fix = Path(folder) / STUDY, "run the same `spantune compare` again: it writes a new record"
        try:
            content = read_json(path, _WHAT, fix)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunError(
                "there is no study here",
                where=str(folder),
                expected=f"a folder with {STUDY}",
                found=error.strerror,
                fix="name the study folder that `spantune compare` wrote (its --output)",
            ) from error
        return from_json(cls, {**content, "folder": path.parent}, _WHAT, str(path), fix)
