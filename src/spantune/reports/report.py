"""`write_report`: everything that a study shows, written into its folder."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune import __version__
from spantune.records import History, RunFolder, RunRecord, write_text_atomic
from spantune.records.files import explained
from spantune.reports import browser, grids, reproduce
from spantune.reports.curves import learning_curves, loss_curves
from spantune.reports.evidence import Evidence, Incomplete, gather
from spantune.reports.finding import Finding, finding
from spantune.reports.groups import group
from spantune.reports.page import Picture, differences_matrix, picture, render, right_matrix, salt
from spantune.reports.pareto import COSTS, f1_against
from spantune.reports.score_plots import MOST_IN_A_PANEL, error_kinds, intervals, slices
from spantune.reports.style import NARROW, WIDE, Form, looks, save, svg
from spantune.reports.sweeps import Sweep, sweep_curves
from spantune.reports.table import Table, comparison, escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, MARKDOWN = "report.html", "report.md"


@dataclass(frozen=True)
class Report:
    """A study's report.

    Attributes:
        folder: the study's. table, finding: for a terminal. missing: what forbids statistics; None where nothing does.
        written: the files, the page first.
    """

    folder: Path
    table: Table
    finding: Finding
    missing: str | None
    written: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class _Study:
    """What is drawn and told: the runs with their histories, the table, the answers."""

    folder: Path
    folders: tuple[RunFolder, ...]
    records: tuple[RunRecord, ...]
    histories: tuple[list[dict[str, Any]], ...]
    sweeps: tuple[Sweep, ...]
    table: Table
    evidence: Evidence | None
    missing: str | None

    @property
    def runs(self) -> list[tuple[RunRecord, list[dict[str, Any]]]]:
        return list(zip(self.records, self.histories, strict=True))

    @property
    def compared(self) -> list[str]:
        """Labels of the methods whose answers are known, in the table's order."""
        return [one.label for one in self.table.groups if one.label in self.table.standings]


def write_report(
    folder: Path,
    runs: Sequence[RunFolder],
    *,
    sweeps: Sequence[Sweep] = (),
    failures: Sequence[str] = (),
    commands: Sequence[str] = (),
    resamples: int | None = None,
) -> Report:
    """Write page, Markdown, tables and plots of a study into its folder.

    Where the questions are gone or have changed, the report goes without what needs them, and says so.

    Args:
        folder: the study's. runs: those that are compared, without those of sweeps.
        sweeps: how a setting was chosen for each method.
        failures: a line for each run that left no record.
        commands: the command line of the study, where it is known.
        resamples: of the bootstrap; default as in `analysis.statistics.compare`.

    Raises:
        RunError: a record or history is broken, or the folder cannot be written.
    """
    study = _read(folder, runs, sweeps, resamples)
    found = finding(study.table.groups, study.evidence.comparison if study.evidence else None, _because(study))
    pictures, drawn = _pictures(study)
    for name, text in _texts(study, found, failures, commands, list(drawn)).items():
        write_text_atomic(folder / name, text)
    files = [path for name, one in drawn.items() for path in save(one.figure, folder / "plots" / name, one.text)]
    with explained(folder):
        write_text_atomic(folder / PAGE, render(_page(study, found, pictures, failures, commands)))
    written = (folder / PAGE, folder / MARKDOWN, folder / "table.md", folder / "table.csv", *files)
    return Report(folder, study.table, found, study.missing, written)


def _read(folder: Path, runs: Sequence[RunFolder], sweeps: Sequence[Sweep], resamples: int | None) -> _Study:
    records = tuple(RunRecord.read(one.path) for one in runs)
    histories = tuple(History(one.history).read() for one in runs)
    evidence, missing = None, None
    try:
        evidence = gather(group(records), {id(key): one for key, one in zip(records, runs, strict=True)}, resamples)
    except Incomplete as error:
        missing = str(error)
    table = comparison(records, evidence.comparison if evidence else None)
    return _Study(folder, tuple(runs), records, histories, tuple(sweeps), table, evidence, missing)


def _because(study: _Study) -> list[str]:
    return [study.missing] if study.missing and any(one.status == "finished" for one in study.records) else []


@dataclass(frozen=True)
class _Drawn:
    """A figure for files: its SVG, and itself for PNG."""

    text: str
    figure: Figure


def _pictures(study: _Study) -> tuple[dict[str, Picture], dict[str, _Drawn]]:
    """Figures for the page, and (in their wide form) for files, by name."""
    pictures, drawn = {}, {}
    for name, title, caption, draw in _plans(study):
        forms = [(figure, form) for form in (NARROW, WIDE) if (figure := draw(form))]
        if forms:
            made = [(svg(figure, salt(name, form)), figure, form) for figure, form in forms]
            pictures[name] = picture(name, title, caption, made)
            drawn[name] = _Drawn(*made[-1][:2])
    return pictures, drawn


_Plan = tuple[str, str, str, Callable[[Form], "Figure | None"]]


def _plans(study: _Study) -> list[_Plan]:
    """Name, title, caption of every figure, and what draws it."""
    table, evidence = study.table, study.evidence
    styles = dict(zip([one.label for one in table.groups], looks([one.method for one in table.groups]), strict=True))
    bars = "Bars: 95% intervals." if evidence else "Bars: ± one standard deviation over seeds."
    plans: list[_Plan] = [
        (
            "intervals",
            "F1",
            "F1 with its 95% interval; a dotted line parts the ranks.",
            partial(intervals, table, styles),
        )
    ]
    for cost in COSTS:
        caption = f"F1 against {cost.title.lower()}. {bars} The line joins what no other method beats in both."
        against = partial(f1_against, table.groups, cost, table.standings)
        plans.append((f"f1_against_{cost.name}", cost.title, caption, against))
    plans += [
        ("sweep", "Sweep", "Grey: the first grid. Hollow: added beyond its edge. Ring: chosen. ×: failed.",
         partial(sweep_curves, study.sweeps)),
        ("learning_curves", "F1", "F1 on the selection split; with several seeds their mean ± one standard deviation.",
         partial(learning_curves, study.runs)),
        ("loss_curves", "Loss", "Training loss, moving averages; with several seeds their mean.",
         partial(loss_curves, study.runs)),
    ]  # fmt: skip
    if evidence:
        which = f"the first {MOST_IN_A_PANEL} methods of the table" if len(study.compared) > MOST_IN_A_PANEL else "all"
        caption = f"F1 by slice with its 95% interval, and the number of questions: {which}."
        plans.append(("slices", "Slices", caption, partial(slices, evidence.slices, styles, study.compared)))
        counts = sorted(evidence.counts, key=lambda one: study.compared.index(one.method))
        caption = "Share of all questions, by what is wrong with the answer; means over seeds."
        plans.append(("errors", "Errors", caption, partial(error_kinds, counts, len(evidence.scores.examples))))
    return plans


def _texts(
    study: _Study, found: Finding, failures: Sequence[str], commands: Sequence[str], drawn: Sequence[str]
) -> dict[str, str]:
    """The files of text, by name."""
    made = {MARKDOWN: _markdown(study, found, failures, commands, drawn)}
    made |= {"table.md": study.table.to_markdown(), "table.csv": study.table.to_csv()}
    if study.evidence:
        made["differences.csv"] = grids.to_csv(grids.differences_rows(study.evidence.comparison))
        made["slices.csv"] = grids.to_csv(grids.slices_rows(study.evidence))
        made["errors.csv"] = grids.to_csv(grids.kinds_rows(study.evidence))
    return made


def _more_grids(study: _Study) -> dict[str, grids.Grid | None]:
    groups, evidence = study.table.groups, study.evidence
    return {
        "speed": grids.speed_grid(groups),
        "errors": grids.kinds_grid(evidence, groups) if evidence else None,
        "null": grids.null_grid(groups),
        "further": grids.further_grid(groups),
    }


def _markdown(
    study: _Study, found: Finding, failures: Sequence[str], commands: Sequence[str], drawn: Sequence[str]
) -> str:
    parts = [
        f"# {escaped(study.folder.resolve().name)}",
        f"**{escaped(found.sentence)}** {escaped(' '.join(found.more))}".strip(),
    ]
    if study.missing:
        parts.append(
            f"This report lacks intervals, tied methods, slices and kinds of error, because {escaped(study.missing)}."
        )
    parts += ["## Scores and costs", study.table.to_markdown().strip()]
    parts += [f"- {escaped(one)}" for one in failures]
    parts += [f"![{name}](plots/{name}.svg)" for name in drawn]
    for one in _more_grids(study).values():
        parts += [f"## {one.title}", one.to_markdown().strip()] if one else []
    if study.evidence:
        parts.append("## Kinds of question")
        for one in grids.slices_grids(study.evidence, study.compared):
            parts += [f"### {one.title.capitalize()}", one.to_markdown().strip()]
    lines = reproduce.commands(study.records, study.folder, commands)
    parts += ["## How to make it again", "```sh\n" + "\n".join(lines) + "\n```"]
    parts += ["\n".join(f"- {name}: {escaped(value)}" for name, value in reproduce.facts(study.records))]
    runs = list(zip(study.folders, study.records, strict=True))
    for one in (reproduce.data_grid(study.records), reproduce.runs_grid(runs, study.folder)):
        parts += [f"### {one.title}", one.to_markdown().strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _page(
    study: _Study, found: Finding, pictures: dict[str, Picture], failures: Sequence[str], commands: Sequence[str]
) -> dict[str, Any]:
    """What the template asks for."""
    evidence = study.evidence
    finished = sorted(one.finished_at for one in study.records if one.finished_at)
    content: dict[str, Any] = {
        "version": __version__,
        "title": study.folder.resolve().name,
        "date": finished[-1][:10] if finished else "",
        "finding": found,
        "missing": study.missing,
        "table": study.table,
        "failures": tuple(failures),
        "intervals": pictures.get("intervals"),
        "costs": [pictures[name] for cost in COSTS if (name := f"f1_against_{cost.name}") in pictures],
        "sweep": pictures.get("sweep"),
        "sweep_parameter": study.sweeps[0].parameter.replace("_", " ") if study.sweeps else "",
        "sweep_notes": [f"{one.label}: {one.note}" for one in study.sweeps if one.note],
        "curves": [pictures[name] for name in ("learning_curves", "loss_curves") if name in pictures],
        "slices_picture": pictures.get("slices"),
        "errors_picture": pictures.get("errors"),
        "slices": grids.slices_grids(evidence, study.compared) if evidence else [],
        **_more_grids(study),
        **_questions(study),
        "commands": reproduce.commands(study.records, study.folder, commands),
        "facts": reproduce.facts(study.records),
        "data": reproduce.data_grid(study.records),
        "settings": reproduce.settings(study.records),
        "runs": reproduce.runs_grid(list(zip(study.folders, study.records, strict=True)), study.folder),
        "notes": list(dict.fromkeys(textwrap.shorten(note, 300) for one in study.records for note in one.notes)),
        "count": len(study.records),
        "unit": evidence.comparison.unit if evidence else "context",
    }
    names = (("scores", "Scores", True), ("costs", "Costs", content["costs"]),
             ("differences", "Differences", content["differences"]), ("sweep", "Sweep", content["sweep"]),
             ("curves", "Training", content["curves"]), ("slices", "Questions", content["slices"]),
             ("errors", "Errors", content["errors"]), ("further", "Further sets", content["further"]),
             ("disagreements", "Disagreements", content["plain"]), ("again", "Make it again", True))  # fmt: skip
    return content | {"sections": [(anchor, name) for anchor, name, there in names if there]}


def _questions(study: _Study) -> dict[str, Any]:
    """The matrices and the browser."""
    if study.evidence is None:
        return {"differences": [], "pairs": 0, "right": [], "plain": [], "packed": ""}
    content = browser.questions(study.evidence)
    packed, count = browser.packed(content)
    several = len(study.compared) > 1
    return {
        "differences": differences_matrix(study.evidence.comparison) if several else [],
        "pairs": len(study.compared) * (len(study.compared) - 1) // 2,
        "right": right_matrix(study.evidence, study.compared) if several else [],
        "plain": browser.shown(content),
        "packed": packed,
        "packed_count": count,
        "left_out": len(content["questions"]) - count,
        "methods": content["methods"],
        "dimensions": content["dimensions"],
    }
