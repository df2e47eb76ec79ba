"""`spantune score`: the official scorers, or MLQA's rules, on a prediction file."""

from __future__ import annotations

from spantune.cli.output import print_json, print_table
from spantune.config.commands import ScoreConfig
from spantune.config.parse.command import Command


def run(config: ScoreConfig) -> None:
    """Print the scores, the official ones unless another rule is asked for, and counts."""
    from spantune.scoring.prediction_files import score_file

    scores: dict[str, float | str] = {}
    if config.language is not None:
        scores |= {"scoring": config.scoring, "language": config.language}
    scores |= score_file(
        config.data,
        config.predictions,
        config.null_odds,
        null_threshold=config.null_threshold,
        columns=config.columns,
        rows=config.rows,
        language=config.language,
    )
    if config.json:
        print_json(scores)
        return
    rows = [(name, f"{value:.2f}" if isinstance(value, float) else str(value)) for name, value in scores.items()]
    print_table(("metric", "value"), rows, right=("value",))


COMMAND = Command(
    name="score",
    config=ScoreConfig,
    run=run,
    examples="""
# SQuAD v1.1
spantune score --data dev-v1.1.json --predictions predictions.json
# SQuAD v2.0 with the best threshold for "no answer", all digits
spantune score --data dev-v2.0.json --predictions predictions.json --null-odds odds.json --json
# answers in Chinese, by MLQA's rules
spantune score --data dev-zh.json --predictions predictions.json --scoring mlqa --language zh
""",
)
