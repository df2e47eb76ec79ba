"""The comparison table: one row a method, from records alone."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from spantune.records import RunRecord
from spantune.reports import numbers
from spantune.reports.groups import Group, group

_LEAST_LABEL = 14
_REASON = 300  # characters


@dataclass(frozen=True)
class Column:
    """A column: its title and what stands in it."""

    title: str
    shown: Callable[[Group], str]


@dataclass(frozen=True)
class Table:
    """Header, rows, notes; render it with `to_text`, `to_markdown` or `to_csv`."""

    header: tuple[str, ...]
    """On what the scores and the times were measured, and what forbids to compare them."""
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    """Runs that are not in the means, with the reason; how to read the numbers."""

    def to_text(self, width: int = 100) -> str:
        """Plain text for a terminal of `width` columns; long method names take several lines."""
        titles, cells = self._cells()
        widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
        gap = "  " if sum(widths[1:]) + _LEAST_LABEL + 2 * len(widths) <= width else " "
        spare = width - sum(widths[1:]) - len(gap) * (len(widths) - 1)
        widths[0] = min(widths[0], max(spare, _LEAST_LABEL))
        lines = [line for text in self.header for line in textwrap.wrap(text, width)] + [""]
        lines += _aligned(titles, widths, gap)
        lines.append(gap.join("-" * one for one in widths))
        for row in cells:
            lines += _aligned(row, widths, gap)
        if self.notes:
            lines.append("")
        lines += [line for text in self.notes for line in textwrap.wrap(text, width, subsequent_indent="  ")]
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown, with header and notes around it."""
        titles, cells = self._cells()
        lines = [*(_escaped(text) + "  " for text in self.header), ""]
        lines += [_markdown_row(titles), "|" + "|".join([":---", *["---:"] * (len(titles) - 1)]) + "|"]
        lines += [_markdown_row(row) for row in cells]
        lines += ["", *(f"- {_escaped(text)}" for text in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """Unrounded numbers, for further work: scores 0 to 100, seconds, bytes; empty where unknown."""
        rows = [_csv_row(one) for one in self.groups]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else ["method"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        titles = ["Method", *(column.title for column in self.columns)]
        return titles, [[one.label, *(column.shown(one) for column in self.columns)] for one in self.groups]


def comparison(records: Sequence[RunRecord]) -> Table:
    """The table of all runs, best F1 first; runs that differ only in their seed share a row."""
    groups = tuple(group(records))
    several = any(len(one.finished) > 1 for one in groups)
    return Table(_header(records), groups, _columns(groups), (*_failures(groups), *_reading(records, several)))


def _columns(groups: Sequence[Group]) -> tuple[Column, ...]:
    columns = [
        Column("EM", lambda one: numbers.with_spread(one.metric("em"))),
        Column("F1", lambda one: numbers.with_spread(one.metric("f1"))),
        Column("Trainable", lambda one: numbers.count(_parameters(one, "trainable"))),
        Column("Share", lambda one: numbers.percent(_parameters(one, "share"))),
        Column("Adapter", lambda one: numbers.size(_largest(one, "adapter_bytes"))),
        Column("Train s", lambda one: numbers.with_spread(one.timing("train_seconds"), 0)),
        Column("Ex/s", lambda one: _mean(one, "examples_per_second")),
        Column("Memory", lambda one: numbers.size(_largest(one, "peak_memory_bytes"))),
    ]
    if any(_largest(one, "peak_gpu_memory_bytes") for one in groups):
        columns.append(Column("GPU mem.", lambda one: numbers.size(_largest(one, "peak_gpu_memory_bytes"))))
    if any(len(one.runs) > 1 for one in groups):
        columns.append(Column("Runs", _runs))
    return tuple(columns)


def _mean(one: Group, name: str) -> str:
    value = one.timing(name)
    return f"{value.mean:,.1f}" if value else numbers.NOTHING


def _runs(one: Group) -> str:
    """Finished runs, `2/3` where some did not finish."""
    done, all_of_them = len(one.finished), len(one.runs)
    return str(done) if done == all_of_them else f"{done}/{all_of_them}"


def _parameters(one: Group, name: str) -> Any:
    return next((getattr(run.parameters, name) for run in one.runs if run.parameters), None)


def _largest(one: Group, name: str) -> int | None:
    return max((value for run in one.finished if (value := getattr(run, name)) is not None), default=None)


def _header(records: Sequence[RunRecord]) -> tuple[str, ...]:
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        return ("No run has finished.",) if records else ("There are no runs.",)
    sets = list(dict.fromkeys(_set(record) for record in finished))
    machines = list(dict.fromkeys(machine(record) for record in finished))
    lines = [f"Scored on {'; '.join(sets)}.", f"Measured on {'; '.join(machines)}."]
    if len({_fingerprint(record) for record in finished}) > 1:
        lines.append("CAUTION: the runs were scored on different questions; their scores do not compare.")
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


def _fingerprint(record: RunRecord) -> tuple[str | None, str | None]:
    used = record.data.get(record.scored_on or "")
    return record.scored_on, used.fingerprint if used else None


def machine(record: RunRecord) -> str:
    """The hardware in a few words."""
    has = record.hardware
    parts = [f"{has['cores']} cores of {has['cpu']}" if "cores" in has and "cpu" in has else "an unknown machine"]
    if has.get("memory_bytes"):
        parts.append(f"{numbers.size(has['memory_bytes'])} memory")
    return ", ".join([*([str(has["gpu"])] if has.get("gpu") and record.device != "cpu" else []), *parts])


def _failures(groups: Sequence[Group]) -> list[str]:
    """A line for each reason why runs of a row are not in it."""
    lines = []
    for one in groups:
        seeds: dict[str, list[str]] = {}
        for run in one.runs:
            if run.status != "finished":
                why = textwrap.shorten(run.reason or "", _REASON, placeholder=" …")
                seeds.setdefault(f"{run.status}: {why}" if why else run.status, []).append(str(run.seed))
        for why, them in seeds.items():
            lines.append(f"Not in the table: {one.label}, seed{'s' * (len(them) > 1)} {', '.join(them)}, {why}")
    return lines


def _reading(records: Sequence[RunRecord], several: bool) -> list[str]:
    if not any(record.status == "finished" for record in records):
        return []
    notes = ["Trainable: parameters that learn, span head included. Memory: the most that the process held at once."]
    if several:
        notes.append("±: sample standard deviation over the runs with different seeds; memory is their largest.")
    if learned := _learned_from_sample(records):
        notes.append(
            f"The embedded sample is small: the methods learned from {learned:,} questions. This shows the road, not "
            "what they can reach. On SQuAD: spantune compare --data squad --model bert-base-uncased"
        )
    return notes


def _learned_from_sample(records: Sequence[RunRecord]) -> int | None:
    """Training questions of a study on the embedded sample alone; None for any other data."""
    trained = [record.data["train"] for record in records if "train" in record.data]
    if not trained or any(not source.startswith("sample") for used in trained for source in used.sources):
        return None
    return max(used.examples for used in trained)


def _aligned(row: Sequence[str], widths: Sequence[int], gap: str) -> list[str]:
    """The first cell on the left and wrapped, numbers on the right."""
    label, *rest = textwrap.wrap(row[0], widths[0]) or [""]
    cells = [label.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return [gap.join(cells).rstrip(), *(f"  {line}"[: widths[0] + 2] for line in rest)]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _csv_row(one: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"label": one.label, "method": one.method, "model": one.runs[0].model}
    row |= {"runs": len(one.runs), "finished": len(one.finished), "seeds": " ".join(str(run.seed) for run in one.runs)}
    estimates = {name: one.metric(name) for name in ("em", "f1")}
    estimates |= {name: one.timing(name) for name in ("train_seconds", "examples_per_second")}
    for name, value in estimates.items():
        row |= {f"{name}_mean": value and value.mean, f"{name}_std": value and value.spread}
    row |= {f"{name}_parameters": _parameters(one, name) for name in ("trainable", "total", "head")}
    row |= {name: _largest(one, name) for name in ("adapter_bytes", "peak_memory_bytes", "peak_gpu_memory_bytes")}
    unfinished = [f"seed {run.seed}: {run.status} {run.reason or ''}" for run in one.runs if run.status != "finished"]
    return row | {"scored_on": one.runs[0].scored_on, "unfinished": " ".join("; ".join(unfinished).split())}
