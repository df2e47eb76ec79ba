"""`spantune methods`: the registry as a table."""

from __future__ import annotations

from spantune.cli.command import Command
from spantune.cli.output import print_json, print_table
from spantune.config import MethodsConfig
from spantune.errors import MethodError


def run(config: MethodsConfig) -> None:
    """Counts what each method trains on the encoder; a method that the encoder cannot take shows a dash."""
    from spantune.methods import methods

    rows = [
        {
            "name": name,
            "family": method.family,
            "summary": method.summary,
            **_counted(config.model, name),
            "learning_rate": method.learning_rate,
            "paper": method.paper,
        }
        for name, method in methods().items()
    ]
    if config.json:
        print_json({"model": config.model, "methods": rows})
        return
    print(f"trainable parameters on {config.model}, default options:")
    print_table(
        ("name", "family", "trainable", "share", "learning rate", "paper"),
        [
            (
                str(row["name"]),
                str(row["family"]),
                "-" if row["trainable"] is None else f"{row['trainable']:,}",
                "-" if row["share"] is None else f"{row['share']:.3%}",
                f"{row['learning_rate']:g}",
                str(row["paper"]),
            )
            for row in rows
        ],
        right=("trainable", "share", "learning rate"),
    )


def _counted(model: str, method: str) -> dict[str, object]:
    from spantune.modeling import count_parameters

    try:
        count = count_parameters(model, method)
    except MethodError as error:
        return {"trainable": None, "total": None, "share": None, "refused": error.problem}
    return {"trainable": count.trainable, "total": count.total, "share": count.share}


COMMAND = Command(
    name="methods",
    summary="List the methods: family, trainable parameters on an encoder, default learning rate, paper.",
    config=MethodsConfig,
    run=run,
    examples="""
spantune methods
# counted on another encoder, for a program
spantune methods --model bert-base-uncased --json
""",
)
