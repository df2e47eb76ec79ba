"""`spantune predict`: answers to a file of questions."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from spantune.config.commands import PredictConfig
from spantune.config.parse.command import Command


def run(config: PredictConfig) -> None:
    """Answer all questions in batches and write the official files, each completely or not at all.

    An output may be a FIFO or a character device; what is printed makes room for one that is standard output.
    """
    from spantune.answering import Predictor
    from spantune.data import load_corpus
    from spantune.runs.atomic_files import is_stdout, require_writable
    from spantune.scoring.prediction_files import n_best_file, write_null_odds, write_predictions

    outputs = [Path(path) for path in (config.output, config.n_best_output, config.null_odds_output) if path]
    for path in outputs:
        require_writable(path)
    stream = sys.stderr if any(map(is_stdout, outputs)) else sys.stdout
    corpus = load_corpus(config.data, split="validation", columns=config.columns, repair=None, require_answers=False)
    predictor = Predictor.load(config.run, config)
    n_best = None if config.n_best_output is None else Path(config.n_best_output)
    with nullcontext() if n_best is None else n_best_file(n_best, streams=True) as sink:
        answers = predictor.answer(corpus, n_best=config.n_best, sink=sink)
        write_predictions(config.output, answers.texts, streams=True)
    print(f"{len(answers.texts)} answers: {config.output}", file=stream)
    if n_best is not None:
        print(f"candidates: {n_best}", file=stream)
    if config.null_odds_output is not None:
        write_null_odds(config.null_odds_output, answers.null_odds, streams=True)
        print(f"null odds: {config.null_odds_output}", file=stream)


COMMAND = Command(
    name="predict",
    config=PredictConfig,
    run=run,
    examples="""
# answers as {"id": "answer"}, and their score
spantune predict runs/lora-0 --data dev-v1.1.json --output predictions.json
spantune score --data dev-v1.1.json --predictions predictions.json
# candidates with probabilities, and null odds for SQuAD v2.0
spantune predict runs/v2 --data dev-v2.0.json --n-best-output n_best.json --null-odds-output odds.json
""",
)
