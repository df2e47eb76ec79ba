"""`spantune ask`: one question to one or more runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spantune import zoo
from spantune.cli.output import print_json
from spantune.config.commands import AskConfig
from spantune.config.parse.command import Command
from spantune.data.checks.texts import require_text
from spantune.errors import DataError

if TYPE_CHECKING:
    from spantune.data.prediction import Prediction


def run(config: AskConfig) -> None:
    """Print each run's answer, its probability and, on request, its candidates."""
    context = read_context(config)
    from spantune.answering import Panel

    answers = Panel.load(zoo.each(config.runs), config).ask(config.question, context, n_best=config.n_best)
    if config.json:
        print_json({folder: as_json(answer, config.n_best) for folder, answer in answers.items()})
        return
    for folder, answer in answers.items():
        print(f"{folder}: {answer.text or '(no answer)'}  {answer.probability:.1%}")
        for rank, candidate in enumerate(answer.n_best[: config.n_best] if config.n_best > 1 else (), start=1):
            print(f"  {rank:>2}. {candidate.probability:>6.1%}  {candidate.text}")


def read_context(config: AskConfig) -> str:
    """The context from the flag, a file or standard input; DataError if it is empty or cannot be read."""
    where = {None: "--context", "-": "standard input"}.get(config.context_file, config.context_file)
    try:
        if config.context_file is None:
            text = config.context or ""
        elif config.context_file == "-":
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        else:
            text = Path(config.context_file).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the context is not UTF-8 text", where=f"{where}, byte {error.start}") from error
    except OSError as error:
        raise DataError("the context cannot be read", where=where, found=error.strerror or str(error)) from error
    return require_text(text, "context", where)


def as_json(answer: Prediction, n_best: int) -> dict[str, object]:
    """The answer with at most `n_best` candidates."""
    return {
        "answer": answer.text,
        "start": answer.start,
        "end": answer.end,
        "probability": answer.probability,
        "null_probability": answer.null_probability,
        "n_best": [candidate._asdict() for candidate in answer.n_best[:n_best]],
    }


COMMAND = Command(
    name="ask",
    config=AskConfig,
    run=run,
    examples="""
# one run
spantune ask runs/lora-0 --question "Who built it?" --context "Ada built the mill in 1832."
# several runs side by side, three candidates each, the context from a file
spantune ask runs/lora-0 runs/full-0 --question "Who built it?" --context-file mill.txt --n-best 3
# read the context from another program, print JSON
cat mill.txt | spantune ask runs/lora-0 --question "Who built it?" --context-file - --json
""",
)
