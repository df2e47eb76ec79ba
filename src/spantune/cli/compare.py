"""`spantune compare`: several methods and seeds, one table."""

from __future__ import annotations

from spantune.cli.command import Command
from spantune.config import CompareConfig


def run(config: CompareConfig) -> None:
    """Runs what is missing of the study and prints its table (`StudyRecord.summary`)."""
    from spantune.studies import compare

    print(compare(config).summary())


COMMAND = Command(
    name="compare",
    summary="Train several methods with several seeds on the same data: one table. Goes on where it was stopped.",
    config=CompareConfig,
    run=run,
    resume=(),
    examples="""
# every method on the embedded sample
spantune compare
# three methods, three seeds, options for one of them
spantune compare --methods full lora ia3 --seeds 0 1 2 --lora.rank 8 --output studies/ranks
# on SQuAD with BERT
spantune compare --data squad --model bert-base-uncased --max-train-examples 10000
""",
)
