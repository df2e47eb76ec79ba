"""A study's report: read from its runs, drawn, and written into its folder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.errors import ConfigError
from spantune.reports.content import further_tables, page, texts
from spantune.reports.figures.all_figures import Plan, plans
from spantune.reports.figures.style import NARROW, WIDE, Form, page_svg, save, svg
from spantune.reports.figures.sweep_plots import SweepCurve
from spantune.reports.headline import finding
from spantune.reports.judged_answers import Evidence, Incomplete, read_scores, read_spans
from spantune.reports.page import Picture, render
from spantune.reports.report import ReportData
from spantune.reports.run_groups import group, rule_language
from spantune.reports.tables.detail_tables import Grid, differences, slices_grids
from spantune.reports.tables.main_table import comparison
from spantune.runs import History, RunFolder, RunRecord, write_text_atomic
from spantune.runs.atomic_files import explained
from spantune.runs.damage import history_fault

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"


@dataclass(frozen=True, eq=False, repr=False)
class Report(ReportData):
    """What a study shows, with its figures and tables at hand."""

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that this study may have."""
        return tuple(self._plans)

    def figure(self, name: str, form: Form = WIDE) -> Figure:
        """One of the `figures`, as matplotlib draws it. A notebook shows it as it is.

        Raises:
            ConfigError: there is no such figure, or the study has nothing to draw in it.
        """
        plan = self._plans.get(name)
        figure = plan.draw(form) if plan else None
        if figure is None:
            raise ConfigError(
                "the report has no such figure",
                where=name,
                expected=f"one of {', '.join(self.figures)}",
                found="nothing to draw in it" if plan else "another name",
            )
        return figure

    def grids(self) -> dict[str, Grid]:
        """The tables after the first one by their titles: differences, speed, kinds of error, further sets, slices by
        dimension."""
        tables = [differences(self.evidence)] if self.evidence and len(self.compared) > 1 else []
        tables += [table for table in further_tables(self).values() if table is not None]
        tables += slices_grids(self.evidence, self.compared) if self.evidence else []
        return {table.title: table for table in tables}

    @cached_property
    def _plans(self) -> dict[str, Plan]:
        return {plan.name: plan for plan in plans(self)}

    def write(self) -> Report:
        """Write page, Markdown, tables and plots into the study's folder.

        Returns:
            The same report with what was `written`.

        Raises:
            RunError: the folder cannot be written.
        """
        pictures, drawn = self._pictures()
        files = texts(self, list(drawn))
        for name, text in files.items():
            write_text_atomic(self.folder / name, text)
        plots = [
            path for name, (figure, text) in drawn.items() for path in save(figure, self.folder / "plots" / name, text)
        ]
        with explained(self.folder):
            write_text_atomic(self.folder / PAGE, render(page(self, pictures)))
        return replace(self, written=(*(self.folder / name for name in (PAGE, *files)), *plots))

    def _pictures(self) -> tuple[dict[str, Picture], dict[str, tuple[Figure, str]]]:
        """Figures for the page, and (in their wide form, with their SVG) for files, by name."""
        pictures, drawn = {}, {}
        for plan in self._plans.values():
            texts_of_page = []
            for figure, form in ((plan.draw(form), form) for form in (NARROW, WIDE)):
                if figure is not None:
                    salt = f"{plan.name}-{'wide' if form.band else 'narrow'}"
                    drawn[plan.name] = figure, svg(figure, salt)
                    height, about = figure.get_figheight(), f"{plan.title}. {plan.caption}"
                    texts_of_page.append(page_svg(drawn[plan.name][1], salt, about, replace(form, height=height)))
            if texts_of_page:
                pictures[plan.name] = Picture(plan.title, plan.caption, "".join(texts_of_page))
        return pictures, drawn


def read_report(
    folder: Path,
    runs: Sequence[RunFolder],
    *,
    sweeps: Sequence[SweepCurve] = (),
    failures: Sequence[str] = (),
    commands: Sequence[str] = (),
    resamples: int | None = None,
) -> Report:
    """What a study shows; nothing is written.

    Where the questions are gone or have changed, the report goes without what needs them, and says so.

    Args:
        folder: the study's. runs: those that are compared, without those of sweeps.
        sweeps: how settings were chosen for each method.
        failures: a line for each run that left no record.
        commands: the command line of the study, where it is known.
        resamples: of the bootstrap; default as in `scoring.statistics.compare`.

    Raises:
        RunError: a record or history is broken, or the runs were scored by different rules.
    """
    records = tuple(RunRecord.read(run.path) for run in runs)
    rule_language(records)  # refuses several
    histories = tuple(History(run.history).read() for run in runs)
    evidence, missing, statistics = None, None, None
    groups, folders = group(records), {id(key): record for key, record in zip(records, runs, strict=True)}
    try:
        scores = read_scores(groups, folders)
        evidence = Evidence.of(scores, read_spans(scores, groups, folders), resamples)
        statistics = evidence.comparison
    except Incomplete as error:
        missing = str(error)
    table = comparison(records, statistics)
    because = [missing] if missing and any(record.status == "finished" for record in records) else []
    headline = finding(table.groups, statistics, because)
    faults = [fault for run, record in zip(runs, records, strict=True) if (fault := history_fault(run.path, record))]
    for fault in faults:
        warnings.warn(f"the curves of a run may lack something: {fault}", stacklevel=2)
    made = table, headline, evidence, missing, (*failures, *faults), tuple(commands)
    return Report(folder, tuple(runs), records, histories, tuple(sweeps), *made)
