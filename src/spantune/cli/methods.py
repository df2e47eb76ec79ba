"""`spantune methods`: what each method costs on one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spantune.cli.output import print_json, print_table
from spantune.config.commands import MethodsConfig
from spantune.config.parse.command import Command
from spantune.errors import MethodError

if TYPE_CHECKING:
    from spantune.modeling.costs import Costs

_NUMBERS = ("trainable", "share", "saved", "forward", "learning rate")


def run(config: MethodsConfig) -> None:
    """Print a line for each method, and below the table why the encoder does not support some."""
    from spantune.methods import methods
    from spantune.modeling import costs_of_all

    costs = costs_of_all(config.encoder)
    rows = [
        {
            "name": name,
            "label": method.label,
            "family": method.family,
            "summary": method.summary,
            **_columns(costs[name]),
            "mergeable": method.mergeable,
            "learning_rate": method.learning_rate,
            "paper": method.paper,
        }
        for name, method in methods().items()
    ]
    if config.json:
        print_json({"encoder": config.encoder, "methods": rows})
    else:
        _print(rows, config.encoder)


def _columns(cost: Costs | MethodError) -> dict[str, object]:
    if isinstance(cost, MethodError):
        nothing = dict.fromkeys(("trainable", "total", "share", "saved_bytes", "forward"))
        return {"supported": False, "reason": cost.problem, **nothing}
    counts = {key: getattr(cost.parameters, key) for key in ("trainable", "total", "share")}
    return {"supported": True, "reason": None, **counts, "saved_bytes": cost.saved_bytes, "forward": cost.forward}


def _print(rows: Sequence[dict[str, Any]], encoder: str) -> None:
    print(f"on {encoder}, with default options; forward: cost of a pass, unmerged, relative to the encoder alone")
    print_table(
        ("method", "family", "supported", "trainable", "share", "saved", "forward", "mergeable", "learning rate"),
        [(row["name"], row["family"], *_cells(row), f"{row['learning_rate']:g}") for row in rows],
        right=_NUMBERS,
    )
    if refused := [row for row in rows if not row["supported"]]:
        print("\nrefused:")
        print("\n".join(f"  {row['name']}: {row['reason']}" for row in refused))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from spantune.reports.tables.number_format import NOTHING, percent, size

    if not row["supported"]:
        return ("refused", *[NOTHING] * 5)
    counted = (f"{row['trainable']:,}", percent(row["share"]), size(row["saved_bytes"]), f"{row['forward']:.2f}×")
    return ("yes", *counted, "yes, then 1×" if row["mergeable"] else "no")


COMMAND = Command(
    name="methods",
    config=MethodsConfig,
    run=run,
    examples="""
spantune methods
# on another encoder, for a program
spantune methods --encoder bert-base-uncased --json
""",
)
