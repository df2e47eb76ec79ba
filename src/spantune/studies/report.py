"""A study folder's report: what `study.json` knows, handed to the room `reports`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from spantune.errors import RunError
from spantune.methods import get
from spantune.reports.figures.sweep_plots import SweepCurve, SweepTrial
from spantune.reports.reproduce import typed
from spantune.reports.write_report import Report, read_report
from spantune.runs import RunFolder
from spantune.runs.record import RECORD
from spantune.studies.command_lines import compare_words
from spantune.studies.parameters import described
from spantune.studies.record import STUDY, StudyRecord, Sweep


def report(folder: Path | str) -> Report:
    """Write the report of a study into its folder; a folder of runs without `study.json` has one, too.

    Returns:
        The report: the finding, the table, the figures, every score; `written` names the files.

    Raises:
        RunError: there is neither, a record is broken, or the folder cannot be written.
    """
    path = Path(folder)
    if not (path / STUDY).is_file():
        return read_report(path, run_folders(path)).write()
    return report_of(StudyRecord.read(path)).write()


def report_of(study: StudyRecord) -> Report:
    """The report of a study, finished or not; nothing is written.

    Raises:
        RunError: the record or history of a run is broken.
    """
    study.require_whole()
    without = {run.folder for run in study.runs} - {folder.path.name for folder in study.folders}
    stopped = (run for run in study.runs if run.status in ("interrupted", "died"))
    lost = (run for run in (*study.failed, *study.skipped, *stopped) if run.folder in without)
    failures = [f"the study died: {study.reason}; the same `spantune compare` continues it"] * (study.status == "died")
    failures += [f"{run.folder}: {run.reason or run.status}" for run in lost]
    failures += [f"left out: {name}" for name in study.left_out] + list(study.notes)
    command = shlex.join(typed(study.command) or compare_words(study.protocol))
    return read_report(study.folder, study.folders, sweeps=[*_curves(study)], failures=failures, commands=[command])


def summary(study: StudyRecord, report: Report | None = None) -> str:
    """The finding and the table for a terminal, the study's choices and notes, and where everything is.

    Args:
        report: of this study, if it has been read already.

    Raises:
        RunError: the record or history of a run is broken.
    """
    report = report or report_of(study)
    parts = [f"{report.finding}\n", report.table.to_text()]
    notes = [*map(_chosen, study.sweeps), *(f"left out: {what}" for what in study.left_out), *study.notes]
    notes += [f"not run: {run.folder}: {run.reason}" for run in study.skipped]
    if notes:
        parts.append("\n".join(notes) + "\n")
    where = f"study folder: {study.folder} ({STUDY}, report.html, table.csv, plots/, a folder a run)"
    return "\n".join([*parts, where])


def _chosen(sweep: Sweep) -> str:
    name = f"{sweep.method} on {sweep.model}"
    if sweep.chosen is None:
        return f"{name}: nothing was chosen ({sweep.why or 'the sweep did not end'})"
    edge = f"; {sweep.edge}" if sweep.edge else ""
    return f"{name}: {described(sweep.chosen)} ({sweep.why}{edge})"


def run_folders(folder: Path | str) -> list[RunFolder]:
    """The runs that a study's report compares: see `runs_in`.

    Raises:
        RunError: there is neither, or a record is broken.
    """
    path = Path(folder)
    runs = runs_in(path)
    if not runs and not (path / STUDY).is_file():
        raise RunError(
            "there is no study here",
            where=str(path),
            expected=f"a folder with {STUDY}, or with run folders in it",
            found="neither" if path.is_dir() else "no such folder",
            fix="name the study folder that `spantune compare` wrote (its --output)",
        )
    return runs


def runs_in(path: Path) -> list[RunFolder]:
    """The runs of a study: those of its `study.json` that have a record; without it, all run folders in the folder.

    Raises:
        RunError: `study.json` is broken, or the record of one of its runs is.
    """
    if (path / STUDY).is_file():
        return list(StudyRecord.read(path).require_whole().folders)
    folders = sorted(path.iterdir()) if path.is_dir() else []
    return [RunFolder(folder) for folder in folders if os.path.lexists(folder / RECORD)]


def _curves(study: StudyRecord) -> Iterator[SweepCurve]:
    """The sweeps as they are drawn, with what was scored or failed; a label names the encoder if there are several."""
    several = len({sweep.model for sweep in study.sweeps}) > 1
    for sweep in study.sweeps:
        points = [point for point in sweep.points if point.f1 is not None or point.status == "failed"]
        trials = tuple(SweepTrial(point.values, point.f1, point.extension > 0, point.reason) for point in points)
        label = get(sweep.method).label + (f", {Path(sweep.model).name}" if several else "")
        if trials:
            yield SweepCurve(sweep.method, label, trials, sweep.chosen, sweep.edge)
