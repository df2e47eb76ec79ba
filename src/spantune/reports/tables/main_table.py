"""The comparison table: one row per method; one model for text, Markdown, CSV and the report's page."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from spantune.config import rule_name
from spantune.reports.run_groups import Group, by_rule, group
from spantune.reports.tables import number_format
from spantune.runs import RunRecord
from spantune.scoring.statistics import Comparison, Standing

_LEAST_LABEL = 14
_REASON = 300  # characters
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula, or leaves out before one."""


@dataclass(frozen=True)
class Column:
    """A column: its title and its content; a `minor` one is left out if the terminal is too narrow."""

    title: str
    shown: Callable[[Group], str]
    minor: bool = False


@dataclass(frozen=True, repr=False)
class Table:
    """Header, rows, notes; render it with `to_text`, `to_markdown` or `to_csv`. A notebook shows it as it is."""

    header: tuple[str, ...]
    """On what the scores and the times were measured, and what forbids to compare them."""
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    """Runs that are not in the means, with the reason; how to read the numbers."""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """By label, if the answers could be compared; the rows are then ordered by rank."""

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def begins_rank(self, row: int) -> bool:
        """Whether a row has another rank than the one above it."""
        standings = [self.standings.get(group.label) for group in self.groups[: row + 1]]
        ranks = {standing and standing.rank for standing in standings[-2:]}
        return bool(self.standings) and len(ranks) > 1

    def to_text(self, width: int = 100) -> str:
        """Plain text for a terminal of `width` columns; long method names take several lines."""
        titles, cells = self._cells(self._fitting(width))
        widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
        gap = "  " if sum(widths[1:]) + _LEAST_LABEL + 2 * len(widths) <= width else " "
        spare = width - sum(widths[1:]) - len(gap) * (len(widths) - 1)
        widths[0] = min(widths[0], max(spare, _LEAST_LABEL))
        lines = [line for text in self.header for line in textwrap.wrap(text, width)] + [""]
        lines += _aligned(titles, widths, gap)
        lines.append(gap.join("-" * width for width in widths))
        for number, row in enumerate(cells):
            lines += [""] * self.begins_rank(number) + _aligned(row, widths, gap)
        if self.notes:
            lines.append("")
        lines += [line for text in self.notes for line in textwrap.wrap(text, width, subsequent_indent="  ")]
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown, with header and notes around it."""
        titles, cells = self._cells(self.columns)
        lines = [*(escaped(text) + "  " for text in self.header), ""]
        lines += markdown_lines(titles, cells)
        lines += ["", *(f"- {escaped(text)}" for text in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """Unrounded numbers, for further work: scores 0 to 100, seconds, bytes; empty if unknown."""
        rows = [_csv_row(group, self.standings.get(group.label)) for group in self.groups]
        return csv_text(rows) if rows else "method\n"

    def _cells(self, columns: Sequence[Column]) -> tuple[list[str], list[list[str]]]:
        titles = ["Method", *(column.title for column in columns)]
        return titles, [[group.label, *(column.shown(group) for column in columns)] for group in self.groups]

    def _fitting(self, width: int) -> list[Column]:
        """The columns without as many minor ones, from the right, as have no room."""
        widths = {column: max(map(len, [column.title, *map(column.shown, self.groups)])) for column in self.columns}
        kept = list(self.columns)
        for column in reversed(self.columns):
            if column.minor and _LEAST_LABEL + sum(1 + widths[name] for name in kept) > width:
                kept.remove(column)
        return kept


def comparison(records: Sequence[RunRecord], statistics: Comparison | None = None) -> Table:
    """The table of all runs; runs that differ only in their seed share a row.

    Args:
        statistics: of the groups by their label: the rows are then ordered by rank, else by mean F1.
    """
    standings = {standing.method: standing for standing in statistics.standings} if statistics else {}
    order = {label: place for place, label in enumerate(standings)}
    groups = tuple(sorted(group(records), key=lambda group: order.get(group.label, len(order))))
    several = any(len(group.finished) > 1 for group in groups)
    notes = (*_failures(groups), *_significance(statistics), *_reading(records, several))
    return Table(_header(records), groups, _columns(groups, standings), notes, standings)


def _columns(groups: Sequence[Group], standings: Mapping[str, Standing]) -> tuple[Column, ...]:
    columns = [
        Column("EM", lambda group: number_format.with_spread(group.metric("em"))),
        Column("F1", lambda group: number_format.with_spread(group.metric("f1"))),
        Column("Trainable", lambda group: number_format.count(group.parameters("trainable"))),
        Column("Share", lambda group: number_format.percent(group.parameters("share")), minor=True),
        Column("Adapter", lambda group: number_format.size(group.largest("adapter_bytes"))),
        Column("Train s", lambda group: number_format.with_spread(group.timing("train_seconds"), 0)),
        Column("Ex/s", lambda group: number_format.mean(group.timing("examples_per_second"), ",.1f"), minor=True),
        Column("Memory", lambda group: number_format.size(group.largest("peak_memory_bytes"))),
    ]
    if standings:
        bounds = {label: f"{row.f1.interval.low:.1f}–{row.f1.interval.high:.1f}" for label, row in standings.items()}
        tied = {label: row.letters for label, row in standings.items()}
        columns.insert(2, Column("95% of F1", lambda group: bounds.get(group.label, number_format.NOTHING)))
        columns.insert(3, Column("Tied", lambda group: tied.get(group.label, number_format.NOTHING)))
    if any(group.largest("peak_gpu_memory_bytes") for group in groups):
        columns.append(Column("GPU mem.", lambda group: number_format.size(group.largest("peak_gpu_memory_bytes"))))
    if any(len(group.runs) > 1 for group in groups):  # finished runs, `2/3` where some did not finish
        columns.append(Column("Runs", lambda group: "/".join(map(str, sorted({len(group.finished), len(group.runs)})))))
    return tuple(columns)


def _header(records: Sequence[RunRecord]) -> tuple[str, ...]:
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        return ("No run has finished.",) if records else ("There are no runs.",)
    sets = list(dict.fromkeys(_set(record) for record in finished))
    machines = list(dict.fromkeys(machine(record) for record in finished))
    rules = list(dict.fromkeys(record.language for record in finished))
    rule = by_rule(rules[0]) if len(rules) == 1 else ""
    lines = [f"Scored on {'; '.join(sets)}.{rule}", f"Measured on {'; '.join(machines)}."]
    used = [(record.scored_on, record.data.get(record.scored_on or "")) for record in finished]
    if len({(scored_on, data and data.fingerprint) for scored_on, data in used}) > 1:
        lines.append("CAUTION: the runs were scored on different questions; their scores do not compare.")
    if len(rules) > 1:
        named = "; ".join(map(rule_name, rules))
        lines.append(f"CAUTION: the runs were scored by different rules ({named}); their EM and F1 do not compare.")
    if any(record.scored_on == "selection" for record in finished):
        lines.append("CAUTION: the selection split also chose the best checkpoint, so scores on it are too high.")
    if len(machines) > 1:
        lines.append("CAUTION: the runs ran on different machines; their times do not compare.")
    return tuple(lines)


def _set(record: RunRecord) -> str:
    used = record.data.get(record.scored_on or "")
    if used is None:
        return record.scored_on or "nothing"
    names = " + ".join(PurePath(source).name or source for source in used.sources)
    kind = "the reported set" if record.scored_on == "reported" else "the selection split of the training data"
    return f"{kind}: {names}, {used.examples:,} questions"


def machine(record: RunRecord) -> str:
    """The hardware in a few words."""
    has = record.hardware
    cores = f"{has.get('cores')} core{'s' * (has.get('cores') != 1)}"
    parts = [f"{cores} of {has['cpu']}" if "cores" in has and "cpu" in has else "an unknown machine"]
    if has.get("memory_bytes"):
        parts.append(f"{number_format.size(has['memory_bytes'])} memory")
    return ", ".join([*([str(has["gpu"])] if has.get("gpu") and record.device != "cpu" else []), *parts])


def _failures(groups: Sequence[Group]) -> list[str]:
    """A line for each reason why runs of a row are not in it."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for row in groups:
        for run in row.runs:
            if run.status != "finished":
                why = textwrap.shorten(run.reason or "", _REASON, placeholder=" …")
                why = f"{run.status}: {why}" if why else run.status
                seeds.setdefault((row.label, why), []).append(str(run.seed))
    return [
        f"Not in the table: {label}, seed{'s' * (len(numbers) > 1)} {', '.join(numbers)}, {why}"
        for (label, why), numbers in seeds.items()
    ]


def _significance(statistics: Comparison | None) -> list[str]:
    """How to read intervals and letters, and what the bootstrap had to say."""
    if statistics is None:
        return []
    notes = [
        f"95% of F1: what further questions of the same kind would give ({statistics.resamples:,} resamples, drawn by "
        f"{statistics.unit})."
    ]
    if len(statistics.standings) > 1:
        notes.append(
            "Tied: two methods that share a letter cannot be told apart in F1 (all pairs, Holm's correction at 0.05). "
            "Rows stand by rank; within a rank the order says nothing."
        )
    return [*notes, *(f"CAUTION: {note}." for note in statistics.notes)]


def _reading(records: Sequence[RunRecord], several: bool) -> list[str]:
    if not any(record.status == "finished" for record in records):
        return []
    notes = ["Trainable: parameters that learn, span head included. Memory: the most that the process held at once."]
    if several:
        notes.append("±: sample standard deviation over the runs with different seeds; memory is their largest.")
    trained = [record.data["train"] for record in records if "train" in record.data]
    if trained and all(source.startswith("sample") for used in trained for source in used.sources):
        learned = max(used.examples for used in trained)
        notes.append(
            f"The embedded sample is small: the methods learned from {learned:,} questions. This shows the road, not "
            "what they can reach. On SQuAD: spantune compare --methods lora ia3 --data squad --model bert-base-uncased"
        )
    return notes


def _aligned(row: Sequence[str], widths: Sequence[int], gap: str) -> list[str]:
    """The first cell on the left and wrapped, numbers on the right."""
    label, *rest = textwrap.wrap(row[0], widths[0]) or [""]
    cells = [label.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return [gap.join(cells).rstrip(), *(f"  {line}"[: widths[0] + 2] for line in rest)]


def markdown_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of GitHub's Markdown: the first column to the left, the others to the right."""
    first, *others = ("| " + " | ".join(map(escaped, row)) + " |" for row in (header, *rows))
    return [first, "|:---|" + "---:|" * (len(header) - 1), *others]


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, with a column for every key; empty if a row lacks it. No cell is a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def csv_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe in front."""
    if not isinstance(value, str) or not value.startswith(_FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _csv_row(group: Group, standing: Standing | None) -> dict[str, Any]:
    row: dict[str, Any] = {"label": group.label, "method": group.method, "model": group.runs[0].model}
    seeds = " ".join(str(run.seed) for run in group.runs)
    row |= {"runs": len(group.runs), "finished": len(group.finished), "seeds": seeds}
    estimates = {name: group.metric(name) for name in ("em", "f1")}
    estimates |= {name: group.timing(name) for name in ("train_seconds", "examples_per_second")}
    for name, value in estimates.items():
        row |= {f"{name}_mean": value and value.mean, f"{name}_std": value and value.spread}
    row |= {f"{name}_parameters": group.parameters(name) for name in ("trainable", "total", "head")}
    row |= {name: group.largest(name) for name in ("adapter_bytes", "peak_memory_bytes", "peak_gpu_memory_bytes")}
    unfinished = [f"seed {run.seed}: {run.status} {run.reason or ''}" for run in group.runs if run.status != "finished"]
    row |= {"scored_on": group.runs[0].scored_on, "unfinished": " ".join("; ".join(unfinished).split())}
    if standing is not None:
        row |= {"rank": standing.rank, "tied": standing.letters}
        for name, score in (("em", standing.em), ("f1", standing.f1)):
            row |= {f"{name}_low": score.interval.low, f"{name}_high": score.interval.high}
    return row | ({"scoring": "mlqa", "language": group.language} if group.language else {})
