"""Keeps study.json up to date while the study runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spantune.config import CompareConfig
from spantune.errors import RunError
from spantune.runs import command_line, utc_now, without_password
from spantune.studies.grid_search import Chosen, Trial
from spantune.studies.plan import Arm, final_name, sweep_name
from spantune.studies.record import FinalRun, Point, StudyRecord, Sweep


def earlier_record(folder: Path) -> StudyRecord | None:
    """What an earlier call wrote down; None where it did not, or where it cannot be read."""
    try:
        return StudyRecord.read(folder)
    except RunError:
        return None


def protocol_of(config: CompareConfig) -> dict[str, Any]:
    """Every setting by its key; passwords stay out of what is written down."""
    found = {key: value for key, value in config.as_dict().items() if key != "seed"}  # each run has its own of `seeds`
    addresses = {key: without_password(found[key]) for key in ("tracking_uri", "storage") if found[key]}
    return {**found, **addresses}


class StudyRecorder:
    """The record of a study while it grows.

    Args:
        asked: the configuration as it was given. config: what the budget holds of it. everyone: all the arms that were
            asked for. arms: those that the budget holds.
        earlier: of an earlier call in the same folder: what went wrong in runs that are kept is kept.
    """

    def __init__(
        self,
        asked: CompareConfig,
        config: CompareConfig,
        everyone: Sequence[Arm],
        arms: Sequence[Arm],
        earlier: StudyRecord | None,
        *,
        left_out: Sequence[str],
        notes: Sequence[str],
    ) -> None:
        self._attempts = _attempts(earlier)
        self.record = StudyRecord(
            Path(asked.output),
            protocol=protocol_of(asked),
            command=command_line(),
            sweeps=tuple(_sweep(config, arm) for arm in arms if arm.parameters),
            runs=tuple(
                self._planned(arm, seed, asked, left=arm not in arms or seed not in config.seeds)
                for arm in everyone
                for seed in asked.seeds
            ),
            left_out=tuple(left_out),
            notes=tuple(notes),
            sweep_examples=config.sweep_examples if config.sweep_examples != asked.sweep_examples else None,
            started_at=earlier.started_at if earlier else utc_now(),
        )

    def _planned(self, arm: Arm, seed: int, asked: CompareConfig, *, left: bool) -> FinalRun:
        run = FinalRun(arm.method, arm.model, seed, final_name(arm, seed))
        if not left:
            return run
        return replace(run, status="skipped", reason=f"left out to hold the budget of {asked.budget_minutes:g} minutes")

    def update(self, **changes: Any) -> None:
        """Change fields of the record and write it."""
        self.record = replace(self.record, **changes)
        self.record.write()

    def note(self, *notes: str) -> None:
        self.update(notes=(*self.record.notes, *notes))

    def begin_trial(self, arm: Arm, trial: Trial) -> None:
        """A point that is to be tried."""
        folder = sweep_name(arm, trial.label)
        point = Point(trial.values, folder, extension=trial.extension, attempts=self._attempts.get(folder, ()))
        self._change_sweep(arm, lambda sweep: replace(sweep, points=(*sweep.points, point)))

    def change(self, name: str, **changes: Any) -> None:
        """Change a point or a final run by its folder's name."""
        if changes.get("plan") == "done":
            changes["attempts"] = self._attempts.get(name, ())
        self.update(
            runs=tuple(replace(one, **changes) if one.folder == name else one for one in self.record.runs),
            sweeps=tuple(
                replace(
                    sweep,
                    points=tuple(
                        replace(one, **_of_points(changes)) if one.folder == name else one for one in sweep.points
                    ),
                )
                for sweep in self.record.sweeps
            ),
        )

    def choose(self, arm: Arm, chosen: Chosen) -> None:
        """What a sweep chose, and the points of other workers that it chose from."""
        others = tuple(
            Point(trial.values, "", status="elsewhere", f1=f1, extension=trial.extension)
            for trial, f1 in chosen.elsewhere
        )
        self._change_sweep(
            arm,
            lambda sweep: replace(
                sweep, points=(*sweep.points, *others), chosen=chosen.values, why=chosen.why, edge=chosen.edge
            ),
        )

    def close(self, status: Any, reason: str | None = None) -> None:
        self.update(status=status, reason=reason, finished_at=utc_now())

    def _change_sweep(self, arm: Arm, change: Callable[[Sweep], Sweep]) -> None:
        sweeps = self.record.sweeps
        self.update(
            sweeps=tuple(change(one) if (one.method, one.model) == (arm.method, arm.model) else one for one in sweeps)
        )


def _of_points(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a point has: what was planned about a run is said of final runs alone."""
    return {key: value for key, value in changes.items() if key in Point.__dataclass_fields__ and key != "values"}


def _attempts(earlier: StudyRecord | None) -> dict[str, tuple[str, ...]]:
    if earlier is None:
        return {}
    found = {point.folder: point.attempts for sweep in earlier.sweeps for point in sweep.points}
    return found | {one.folder: one.attempts for one in earlier.runs}


def _sweep(config: CompareConfig, arm: Arm) -> Sweep:
    return Sweep(
        arm.method,
        arm.model,
        config.search,
        {one.key: str(one).partition(" ")[2] for one in arm.parameters},
        config.sweep_examples,
        config.sweep_epochs,
        config.seeds[0],
    )
