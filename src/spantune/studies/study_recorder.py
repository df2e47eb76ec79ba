"""Keeps study.json up to date while the study runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spantune.config import CompareConfig
from spantune.errors import RunError
from spantune.runs import command_line, utc_now, without_password
from spantune.studies.budget import Fitted
from spantune.studies.grid_search import Chosen, Trial
from spantune.studies.plan import Arm, final_name, sweep_name
from spantune.studies.record import STUDY, FinalRun, Point, R, StudyRecord, Sweep


def earlier_record(folder: Path, say: Callable[[str], None]) -> StudyRecord | None:
    """What an earlier call wrote; None if there is nothing, or, which is said, it cannot be read."""
    try:
        return StudyRecord.read(folder)
    except RunError as error:
        if os.path.lexists(folder / STUDY):
            say(f"note: {error.problem} ({error.where}); it is written anew from the runs in the folder")
        return None


def protocol_of(config: CompareConfig) -> dict[str, Any]:
    """Every setting by its key; passwords stay out of what is written down."""
    settings = {
        key: value for key, value in config.as_dict().items() if key != "seed"
    }  # each run has its own of `seeds`
    addresses = {key: without_password(settings[key]) for key in ("tracking_uri", "storage") if settings[key]}
    return {**settings, **addresses}


class StudyRecorder:
    """The record of a study while it grows.

    Args:
        asked: the configuration as it was given. everyone: all the arms that it asks for. fitted: what the budget
            holds of it.
        earlier: of an earlier call in the same folder: what went wrong in runs that are kept is kept.
    """

    def __init__(
        self,
        asked: CompareConfig,
        everyone: Sequence[Arm],
        fitted: Fitted,
        earlier: StudyRecord | None,
        notes: Sequence[str],
    ) -> None:
        config, arms = fitted.config, fitted.arms
        self._attempts = {run.folder: run.attempts for run in earlier.all_runs} if earlier else {}
        left = f"left out to hold the budget of {asked.budget_minutes or 0:g} minutes"
        self.record = StudyRecord(
            Path(asked.output),
            protocol=protocol_of(asked),
            command=command_line(),
            sweeps=tuple(_sweep(config, arm) for arm in arms if arm.parameters),
            runs=tuple(
                FinalRun(arm.method, arm.model, seed, final_name(arm, seed))
                if arm in arms and seed in config.seeds
                else FinalRun(arm.method, arm.model, seed, final_name(arm, seed), "skipped", reason=left)
                for arm in everyone
                for seed in asked.seeds
            ),
            left_out=fitted.left_out,
            notes=tuple(notes),
            sweep_examples=config.sweep_examples if config.sweep_examples != asked.sweep_examples else None,
            started_at=earlier.started_at if earlier else utc_now(),
        )

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
        self._change_sweep(arm, [point])

    def change(self, name: str, **changes: Any) -> None:
        """Change a point or a final run by its folder's name; a point has no plan."""
        if changes.get("plan") == "done":
            changes["attempts"] = self._attempts.get(name, ())

        def changed(run: R) -> R:
            known = {key: value for key, value in changes.items() if hasattr(run, key)}
            return replace(run, **known) if run.folder == name else run

        self.update(
            runs=tuple(map(changed, self.record.runs)),
            sweeps=tuple(replace(sweep, points=tuple(map(changed, sweep.points))) for sweep in self.record.sweeps),
        )

    def choose(self, arm: Arm, chosen: Chosen) -> None:
        """What a sweep chose, and the points of other workers that it chose from."""
        self._change_sweep(arm, chosen.elsewhere, chosen=chosen.values, why=chosen.why, edge=chosen.edge)

    def close(self, status: Any, reason: str | None = None) -> None:
        if status != "finished":
            self.record = self.record.ended("interrupted")
        self.update(status=status, reason=reason, finished_at=utc_now())

    def _change_sweep(self, arm: Arm, points: Sequence[Point], **changes: Any) -> None:
        self.update(
            sweeps=tuple(
                replace(sweep, points=(*sweep.points, *points), **changes)
                if (sweep.method, sweep.model) == (arm.method, arm.model)
                else sweep
                for sweep in self.record.sweeps
            )
        )


def _sweep(config: CompareConfig, arm: Arm) -> Sweep:
    grid = {parameter.key: str(parameter).partition(" ")[2] for parameter in arm.parameters}
    budget = config.sweep_examples, config.sweep_epochs, config.seeds[0]
    return Sweep(arm.method, arm.model, config.search, grid, *budget)
