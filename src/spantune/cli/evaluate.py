"""`spantune evaluate`: EM and F1 of finished runs on a data source."""

from __future__ import annotations

from spantune import zoo
from spantune.cli.output import print_json, print_table
from spantune.config import EvaluateConfig, rule_name
from spantune.config.parse.command import Command


def run(config: EvaluateConfig) -> None:
    """Score every run and print a table; the scores are also saved in each run's folder."""
    from spantune.scoring.score_run import evaluate_run

    scores = {folder: evaluate_run(folder, config) for folder in zoo.each(config.runs)}
    if config.json:
        print_json(scores)
        return
    print_table(
        ("run", "EM", "F1", "questions"),
        [(folder, f"{score['em']:.2f}", f"{score['f1']:.2f}", str(score["total"])) for folder, score in scores.items()],
        right=("EM", "F1", "questions"),
    )
    if config.language is not None:
        print(f"EM and F1 are by {rule_name(config.language)}.")


COMMAND = Command(
    name="evaluate",
    config=EvaluateConfig,
    run=run,
    examples="""
# two runs on the same file
spantune evaluate runs/lora-0 runs/ia3-0 --data dev-v1.1.json
# a seeded sample of 500 questions of a hub set, as JSON
spantune evaluate runs/lora-0 --data squad --max-eval-examples 500 --json
# answers in German, by MLQA's rules
spantune evaluate runs/lora-0 --data dev-de.json --scoring mlqa --language de
""",
)
