"""`compare`: several methods and seeds on the same data, each run in a process of its own, one table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spantune.config import CompareConfig
from spantune.errors import RunError, UserError
from spantune.methods import get
from spantune.records import RunFolder, RunRecord, write_text_atomic
from spantune.records.files import explained
from spantune.reports.plots import comparison_plots
from spantune.reports.table import Table, comparison
from spantune.studies.apart import run_apart
from spantune.studies.cells import Cell, cells
from spantune.training.resolve import resolve


@dataclass(frozen=True)
class StudyRecord:
    """The records of a study's runs, in the order of methods and seeds."""

    folder: Path
    records: tuple[RunRecord, ...]

    @property
    def table(self) -> Table:
        return comparison(self.records)

    def summary(self) -> str:
        """The table for a terminal, and where everything is."""
        return f"{self.table.to_text()}\nstudy folder: {self.folder} (table.md, table.csv, plots/, a folder a run)"


def compare(config: CompareConfig, say: Callable[[str], None] | None = None) -> StudyRecord:
    """Train what is missing of the study, write table and plots, return the records.

    A run that fails costs its own cell only: its record holds the reason, the others go on.

    Args:
        say: told what happens to each run; default: standard error.

    Raises:
        UserError: before anything runs, where a method or an option does not allow it; after the first run, where it
            failed for the data or the encoder, which all runs share.
        KeyboardInterrupt: stopped; the same call goes on where it was.
        RunError: at the end, where no run finished.
    """
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))
    planned = cells(config)
    folder = Path(config.output)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(planned, start=1):
        say(f"[{number}/{len(planned)}] {cell.name}: {cell.plan} ({cell.why})")
        if cell.plan != "done":
            _run(cell, say)
            _write(folder, planned)
    study = _write(folder, planned)
    if not any(record.status == "finished" for record in study.records):
        reasons = {record.reason or record.status for record in study.records} or {"no run left a record"}
        raise RunError("no run of the study finished", where=str(folder), found="; ".join(sorted(reasons)))
    return study


def _run(cell: Cell, say: Callable[[str], None]) -> None:
    outcome = run_apart(replace(cell.config, resume=cell.plan == "resume", overwrite=cell.plan == "run"), cell.name)
    if outcome.reason is not None:
        _mark_failed(cell, outcome.reason)
        if outcome.all_fail:
            raise UserError(outcome.reason)
        say(f"  failed: {outcome.reason}")


def _mark_failed(cell: Cell, reason: str) -> None:
    """A process that died without a word still leaves a truthful record."""
    try:
        record = RunRecord.read(cell.folder)
    except RunError:
        method, config = get(cell.config.method), resolve(cell.config)
        record = RunRecord("failed", method.name, method.label, config.model, config.seed, config=config.as_dict())
        with explained(cell.folder):
            cell.folder.mkdir(parents=True, exist_ok=True)
    replace(record, status="failed", reason=reason).write(cell.folder)


def _write(folder: Path, planned: Sequence[Cell]) -> StudyRecord:
    """Table and plots of what there is so far."""
    there = [cell.folder for cell in planned if (cell.folder / "record.json").is_file()]
    study = StudyRecord(folder, tuple(RunRecord.read(one) for one in there))
    table = study.table
    write_text_atomic(folder / "table.md", table.to_markdown())
    write_text_atomic(folder / "table.csv", table.to_csv())
    comparison_plots([RunFolder(one) for one in there], folder / "plots")
    return study
