"""`spantune zoo`: the adapters that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spantune.cli.output import print_json, print_table
from spantune.config.commands import ZooConfig
from spantune.config.parse.command import Command

_NUMBERS = ("trainable", "size", "EM", "F1")


def run(config: ZooConfig) -> None:
    """Print a line for each adapter."""
    from spantune import zoo

    rows = [_row(name) for name in zoo.names()]
    if config.json:
        print_json(rows)
    elif rows:
        _print(rows)
    else:
        print("this version ships without adapters; `spantune train` makes one")


def _row(name: str) -> dict[str, Any]:
    from spantune import zoo
    from spantune.runs import RunRecord

    record = RunRecord.read(zoo.find(name))
    return {
        "name": name,
        "method": record.label,
        "encoder": record.model,
        "trainable": record.parameters.trainable if record.parameters else 0,
        "bytes": record.adapter_bytes,
        "em": record.metrics["reported"]["em"],
        "f1": record.metrics["reported"]["f1"],
        "scored_on": ", ".join(Path(source).name for source in record.data["reported"].sources),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from spantune.reports.tables.number_format import size

    lines = []
    for row in rows:
        numbers = (f"{row['trainable']:,}", size(row["bytes"]), f"{row['em']:.1f}", f"{row['f1']:.1f}")
        lines.append((row["name"], row["method"], row["encoder"], *numbers, row["scored_on"]))
    print_table(("name", "method", "encoder", *_NUMBERS, "scored on"), lines, right=_NUMBERS)


COMMAND = Command(
    name="zoo",
    config=ZooConfig,
    run=run,
    examples="""
# list all adapters
spantune zoo
""",
)
