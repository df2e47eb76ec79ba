"""The content of a report: its Markdown, its tables as CSV, and what the page's template asks for."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spantune import __version__
from spantune.reports import browser, reproduce
from spantune.reports.figures.f1_against_cost import COSTS
from spantune.reports.page import Picture, differences_matrix, right_matrix
from spantune.reports.run_groups import by_rule, rule_language
from spantune.reports.tables import detail_tables
from spantune.reports.tables.main_table import csv_text, escaped

if TYPE_CHECKING:
    from spantune.reports.report import ReportData

MARKDOWN = "report.md"


def texts(report: ReportData, drawn: Sequence[str]) -> dict[str, str]:
    """The files of text by name.

    Args:
        drawn: names of the figures that there are.
    """
    table, evidence = report.table, report.evidence
    made = {MARKDOWN: _markdown(report, drawn), "table.md": table.to_markdown(), "table.csv": table.to_csv()}
    if evidence:
        made["differences.csv"] = csv_text(detail_tables.differences_rows(evidence))
        made["slices.csv"] = csv_text(detail_tables.slices_rows(evidence))
        made["errors.csv"] = csv_text(detail_tables.errors_rows(evidence))
    return made


def further_tables(report: ReportData) -> dict[str, detail_tables.Grid | None]:
    """The tables beside that of scores, None if there is nothing to show."""
    groups, evidence = report.table.groups, report.evidence
    return {
        "speed": detail_tables.speed_grid(groups),
        "errors": detail_tables.errors(evidence, groups) if evidence else None,
        "null": detail_tables.null_grid(groups),
        "further": detail_tables.further_grid(groups),
    }


def _markdown(report: ReportData, drawn: Sequence[str]) -> str:
    finding = report.finding
    parts = [
        f"# {escaped(report.folder.resolve().name)}",
        f"**{escaped(finding.sentence)}** {escaped(' '.join(finding.more))}".strip(),
    ]
    if report.missing:
        parts.append(
            f"This report has no intervals, ties, slices and kinds of error, because {escaped(report.missing)}."
        )
    parts += ["## Scores and costs", report.table.to_markdown().strip()]
    parts += [f"- {escaped(failure)}" for failure in report.failures]
    parts += [f"![{name}](plots/{name}.svg)" for name in drawn]
    for grid in further_tables(report).values():
        parts += [f"## {grid.title}", grid.to_markdown().strip()] if grid else []
    if report.evidence:
        parts.append("## Kinds of question")
        for grid in detail_tables.slices_grids(report.evidence, report.compared):
            parts += [f"### {grid.title.capitalize()}", grid.to_markdown().strip()]
    lines = reproduce.commands(report.records, report.folder, report.commands)
    parts += ["## How to reproduce it", "```sh\n" + "\n".join(lines) + "\n```"]
    parts += ["\n".join(f"- {name}: {escaped(value)}" for name, value in reproduce.facts(report.records))]
    runs = list(zip(report.folders, report.records, strict=True))
    for grid in (reproduce.data_grid(report.records), reproduce.runs_grid(runs, report.folder)):
        parts += [f"### {grid.title}", grid.to_markdown().strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(report: ReportData, pictures: Mapping[str, Picture]) -> dict[str, Any]:
    """What the template asks for."""
    evidence = report.evidence
    finished = max((record.finished_at for record in report.records if record.finished_at), default="")
    swept = {sweep.parameters for sweep in report.sweeps}
    one_number = len(swept) == 1 and all(sweep.over_one_number for sweep in report.sweeps)
    content: dict[str, Any] = {
        "version": __version__,
        "title": report.folder.resolve().name,
        "date": finished[:10],
        "finding": report.finding,
        "missing": report.missing,
        "rule": by_rule(rule_language(report.records)),
        "table": report.table,
        "failures": report.failures,
        "intervals": pictures.get("intervals"),
        "costs": [pictures[name] for cost in COSTS if (name := f"f1_against_{cost.name}") in pictures],
        "sweep": [pictures[name] for name in ("sweep", "trials") if name in pictures],
        "sweep_parameters": f"the {swept.pop()[0].replace('_', ' ')} was" if one_number else "settings were",
        "sweep_notes": [f"{sweep.label}: {sweep.note}" for sweep in report.sweeps if sweep.note],
        "curves": [pictures[name] for name in ("learning_curves", "loss_curves") if name in pictures],
        "slices_picture": pictures.get("slices"),
        "errors_picture": pictures.get("errors"),
        "slices": detail_tables.slices_grids(evidence, report.compared) if evidence else [],
        **further_tables(report),
        **_questions(report),
        "commands": reproduce.commands(report.records, report.folder, report.commands),
        "facts": reproduce.facts(report.records),
        "data": reproduce.data_grid(report.records),
        "settings": reproduce.settings(report.records),
        "runs": reproduce.runs_grid(list(zip(report.folders, report.records, strict=True)), report.folder),
        "notes": list(dict.fromkeys(textwrap.shorten(note, 300) for record in report.records for note in record.notes)),
        "count": len(report.records),
        "unit": evidence.comparison.unit if evidence else "context",
    }
    names = (("scores", "Scores", True), ("costs", "Costs", content["costs"]),
             ("differences", "Differences", content["differences"]), ("sweep", "Sweep", content["sweep"]),
             ("curves", "Training", content["curves"]), ("slices", "Questions", content["slices"]),
             ("errors", "Errors", content["errors"]), ("further", "Further sets", content["further"]),
             ("disagreements", "Disagreements", content["plain"]), ("again", "Reproduce it", True))  # fmt: skip
    return content | {"sections": [(anchor, name) for anchor, name, there in names if there]}


def _questions(report: ReportData) -> dict[str, Any]:
    """The matrices and the browser."""
    if report.evidence is None:
        return {"differences": [], "pairs": 0, "right": [], "plain": [], "packed": ""}
    content = browser.questions(report.evidence)
    packed, count = browser.packed(content)
    methods = len(report.compared)
    return {
        "differences": differences_matrix(report.evidence.comparison) if methods > 1 else [],
        "pairs": methods * (methods - 1) // 2,
        "right": right_matrix(report.evidence, report.compared) if methods > 1 else [],
        "plain": browser.shown(content),
        "packed": packed,
        "packed_count": count,
        "left_out": len(content["questions"]) - count,
        "methods": content["methods"],
        "dimensions": content["dimensions"],
    }
