"""How to make a study again: commands, data, versions, machine, settings, and where each run is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from spantune.config import AFTERWARDS, BOOKKEEPING
from spantune.reports.run_groups import by_rule, rule_language
from spantune.reports.tables import number_format
from spantune.reports.tables.detail_tables import Grid
from spantune.reports.tables.main_table import machine
from spantune.runs import RunFolder, RunRecord
from spantune.scoring.statistics import estimate

_SHORT = 16  # digits of a digest
_NOT_SETTINGS = BOOKKEEPING | AFTERWARDS | {"method", "methods", "seed", "seeds", "options", "model"}


def facts(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """What all runs share, and each value that differs."""
    started = [record.started_at for record in records if record.started_at]
    ended = [record.finished_at for record in records if record.finished_at]
    named = [
        ("Encoder", [record.model for record in records]),
        ("Machine", [machine(record) for record in records if record.hardware]),
        ("Device", [f"{record.device}, {record.precision}" for record in records if record.device]),
        ("Versions", [", ".join(map(" ".join, record.versions.items())) for record in records]),
        ("Code", _code(records)),
        ("Dates", [f"{min(started)} to {max(ended)}"] if started and ended else []),
    ]
    return [(name, "; ".join(dict.fromkeys(filter(None, values)))) for name, values in named if any(values)]


def _code(records: Sequence[RunRecord]) -> list[str]:
    """Each commit with the digests of the code that its runs went through, which differ by method."""
    digests: dict[str, dict[str, None]] = {}
    for record in records:
        git = record.git or {}
        commit = str(git.get("commit") or "")[:12]
        changed = ", with changes" if git.get("dirty") else ""
        of_commit = digests.setdefault(f"commit {commit}{changed}" if commit else "", {})
        if record.code:
            of_commit[f"{record.label} {record.code}"] = None
    return [f"{commit} (digests: {', '.join(codes)})".strip() if codes else commit for commit, codes in digests.items()]


def commands(records: Sequence[RunRecord], folder: Path, more: Sequence[str] = ()) -> list[str]:
    """Command lines: those that started the runs, each once, and that of the report."""
    lines = [shlex.join(words) for record in records if (words := typed(record.command))]
    return list(dict.fromkeys([*more, *lines, f"spantune report {shlex.quote(os.fspath(folder))}"]))


def typed(command: Sequence[str]) -> list[str] | None:
    """A command line of spantune without the path of the program; None for another program's, such as a notebook's."""
    if not command:
        return None
    first, *rest = command
    program = Path(first)
    module = program.name == "__main__.py" and program.parent.name == "spantune"  # python -m spantune
    return ["spantune", *rest] if module or program.stem == "spantune" else None


def data_grid(records: Sequence[RunRecord]) -> Grid:
    """Every set that a run used, each once."""
    rows = dict.fromkeys(
        (name, " + ".join(used.sources), f"{used.examples:,}", used.fingerprint[:_SHORT])
        for record in records
        for name, used in record.data.items()
    )
    return Grid("Data", ("Set", "Source", "Questions", "Digest (SHA-256)"), tuple(rows))


def settings(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """The settings that all runs share."""
    first = records[0].config if records else {}
    return [
        (key.replace("_", " "), number_format.setting(value))
        for key, value in first.items()
        if key not in _NOT_SETTINGS and all(record.config.get(key) == value for record in records)
    ]


def runs_grid(runs: Sequence[tuple[RunFolder, RunRecord]], root: Path) -> Grid:
    """One row per run: where it is, how it ended, and the settings that differ between runs."""
    records = [record for _, record in runs]
    differing = [
        key
        for key in dict.fromkeys(key for record in records for key in record.config)
        if key not in _NOT_SETTINGS and len({str(record.config.get(key)) for record in records}) > 1
    ]
    rows = []
    for folder, record in sorted(runs, key=lambda pair: pair[0].path):
        options = ", ".join(f"{key} {number_format.setting(value)}" for key, value in record.options.items())
        cells = (number_format.setting(record.config.get(key)) for key in differing)
        place = folder.path.relative_to(root) if folder.path.is_relative_to(root) else folder.path
        score = number_format.mean(estimate([record.metric("f1")]), ".2f")
        rows.append((place.as_posix(), record.status, str(record.seed), score, *cells, options))
    header = ("Run", "Status", "Seed", "F1", *(key.replace("_", " ").capitalize() for key in differing), "Options")
    about = "Each folder has a record.json and a config.yaml: `spantune train --config RUN/config.yaml` makes it again."
    about += by_rule(rule_language(records))
    return Grid("Runs", header, tuple(rows), about)
