"""A study's report as data: everything that its runs show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spantune.reports.figures.sweep_plots import SweepCurve
from spantune.reports.headline import Finding
from spantune.reports.judged_answers import Evidence
from spantune.reports.tables.main_table import Table
from spantune.runs import RunFolder, RunRecord
from spantune.scoring.scores import Scores
from spantune.scoring.statistics import Comparison


@dataclass(frozen=True, eq=False, repr=False)
class ReportData:
    """What a study shows.

    Attributes:
        folder: the study's. folders, records, histories: of its runs, in the same order.
        sweeps: how settings were chosen for each method.
        table: methods by rank. finding: what the statistics allow to say.
        evidence: what the answers say; None if they cannot be compared, `missing` then says why.
        failures: a line for each run that left no record, and the study's notes. commands: that started the study.
        written: the files, the page first; () before `write_report.Report.write`.
    """

    folder: Path
    folders: tuple[RunFolder, ...]
    records: tuple[RunRecord, ...]
    histories: tuple[list[dict[str, Any]], ...]
    sweeps: tuple[SweepCurve, ...]
    table: Table
    finding: Finding
    evidence: Evidence | None
    missing: str | None
    failures: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"{self.finding}\n\n{self.table.to_text()}"

    @property
    def scores(self) -> Scores | None:
        """EM and F1 of every method, run and question; None if they are `missing`."""
        return self.evidence.scores if self.evidence else None

    @property
    def statistics(self) -> Comparison | None:
        """Intervals, differences of all pairs, tied groups; None if they are `missing`."""
        return self.evidence.comparison if self.evidence else None

    @property
    def runs(self) -> list[tuple[RunRecord, list[dict[str, Any]]]]:
        """Every run with its history."""
        return list(zip(self.records, self.histories, strict=True))

    @property
    def compared(self) -> list[str]:
        """Labels of the methods whose answers are known, in the table's order."""
        return [group.label for group in self.table.groups if group.label in self.table.standings]
