"""`compare`: several methods and seeds on the same data, each run in a process of its own, one table."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import RunError, SpantuneError, UserError
from spantune.records import RunFolder, RunRecord, write_text_atomic
from spantune.reports.plots import comparison_plots
from spantune.reports.table import Table, comparison
from spantune.studies.cells import Cell, cells

_INTERRUPTED = 130


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
        UserError: before anything runs, where a method, an option or the data does not allow it.
        KeyboardInterrupt: stopped; the same call goes on where it was.
        RunError: at the end, where no run finished.
    """
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))
    planned = cells(config)
    folder = Path(config.output)
    for number, cell in enumerate(planned, start=1):
        say(f"[{number}/{len(planned)}] {cell.name}: {cell.plan} ({cell.why})")
        if cell.plan != "done":
            _run_apart(cell, say)
            _write(folder, planned)
    study = _write(folder, planned)
    if not any(record.status == "finished" for record in study.records):
        reasons = {record.reason or record.status for record in study.records} or {"no run left a record"}
        raise RunError("no run of the study finished", where=str(folder), found="; ".join(sorted(reasons)))
    return study


def _run_apart(cell: Cell, say: Callable[[str], None]) -> None:
    """One run in a process of its own: its memory is its own to measure, and its crash costs nothing else."""
    context = _context()
    config = replace(cell.config, resume=cell.plan == "resume", overwrite=cell.plan == "run")
    process = context.Process(target=_work, args=(config,), name=cell.name)
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()  # The terminal sent it Ctrl-C too: it writes its checkpoint.
        raise
    if process.exitcode == _INTERRUPTED:
        raise KeyboardInterrupt
    if process.exitcode:
        _mark_failed(cell, process.exitcode)
        say(f"  failed: {RunRecord.read(cell.folder).reason}")


def _context() -> Any:
    """A fork server that has loaded the libraries once, where there is one: a run then starts at once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["spantune.training.run"])
    return context


def _work(config: TrainConfig) -> None:
    """What the process does; the exit code tells how it ended, the record why."""
    from spantune.training import train

    try:
        train(config)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except SpantuneError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _mark_failed(cell: Cell, exit_code: int) -> None:
    """A process that died without a word still leaves a truthful record."""
    try:
        record = RunRecord.read(cell.folder)
    except UserError:
        record = RunRecord("failed", cell.config.method, cell.config.method, cell.config.model, cell.config.seed)
        cell.folder.mkdir(parents=True, exist_ok=True)
    if record.status != "failed" or not record.reason:
        died = f"killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        replace(record, status="failed", reason=f"its process was {died}").write(cell.folder)


def _write(folder: Path, planned: Sequence[Cell]) -> StudyRecord:
    """Table and plots of what there is so far."""
    there = [cell.folder for cell in planned if (cell.folder / "record.json").is_file()]
    study = StudyRecord(folder, tuple(RunRecord.read(one) for one in there))
    table = study.table
    write_text_atomic(folder / "table.md", table.to_markdown())
    write_text_atomic(folder / "table.csv", table.to_csv())
    comparison_plots([RunFolder(one) for one in there], folder / "plots")
    return study
