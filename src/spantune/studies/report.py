"""A study folder's report: what `study.json` knows, handed to the room `reports`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from spantune.errors import RunError
from spantune.methods import get
from spantune.records import RunFolder
from spantune.records.record import RECORD
from spantune.reports import sweeps
from spantune.reports.report import Report, write_report
from spantune.studies.record import STUDY, StudyRecord, Sweep


def report(folder: Path | str) -> Report:
    """Write the report of a study into its folder; a folder of runs without `study.json` has one, too.

    Raises:
        RunError: there is neither, a record is broken, or the folder cannot be written.
    """
    path = Path(folder)
    if not (path / STUDY).is_file():
        return write_report(path, _runs_in(path))
    study = StudyRecord.read(path)
    encoders = {one.model for one in study.sweeps}
    swept = [made for one in study.sweeps if (made := _swept(one, len(encoders) > 1))]
    without = {one.folder for one in study.runs} - {one.path.name for one in study.folders}
    lost = (one for one in (*study.failed, *study.skipped) if one.folder in without)
    failures = [f"{one.folder}: {one.reason or one.status}" for one in lost]
    failures += [f"left out: {one}" for one in study.left_out] + list(study.notes)
    command = shlex.join([Path(study.command[0]).name, *study.command[1:]]) if study.command else ""
    return write_report(path, study.folders, sweeps=swept, failures=failures, commands=[command] if command else [])


def _runs_in(path: Path) -> list[RunFolder]:
    found = [RunFolder(one.parent) for one in sorted(path.glob(f"*/{RECORD}"))]
    if not found:
        raise RunError(
            "there is no study here",
            where=str(path),
            expected=f"a folder with {STUDY}, or with run folders in it",
            found="neither" if path.is_dir() else "no such folder",
            fix="name the study folder that `spantune compare` wrote (its --output)",
        )
    return found


def _swept(sweep: Sweep, several: bool) -> sweeps.Sweep | None:
    """A sweep over one number, as it is drawn; None for others, which have no axis."""
    names = list(dict.fromkeys(name for point in sweep.points for name in point.values))
    if len(names) != 1 or not all(_is_number(point.values.get(names[0])) for point in sweep.points):
        return None
    points = tuple(
        sweeps.SweepPoint(float(point.values[names[0]]), point.f1, point.extension > 0, point.reason)
        for point in sweep.points
    )
    chosen: Any = (sweep.chosen or {}).get(names[0])
    label = get(sweep.method).label + (f", {Path(sweep.model).name}" if several else "")
    return sweeps.Sweep(
        sweep.method, label, names[0], points, float(chosen) if _is_number(chosen) else None, sweep.edge
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
