"""`spantune compare`: methods, encoders and seeds, one table."""

from __future__ import annotations

from spantune.config import CompareConfig
from spantune.config.parse.command import Command
from spantune.errors import SpantuneError


def run(config: CompareConfig) -> None:
    """Run what is missing of the study and print its table; SpantuneError if a run fails."""
    from spantune.studies import compare_and_report, summary

    if config.plan:
        compare_and_report(config, print)
        return
    study, report = compare_and_report(config)
    print(summary(study, report))
    if failures := study.failures():
        raise SpantuneError(failures)


COMMAND = Command(
    name="compare",
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
# with a learning rate chosen for each method, within an hour; first only the plan
spantune compare --methods full lora ia3 --seeds 0 1 --sweep learning-rate --budget-minutes 60 --plan
# the whole protocol from a file, on two encoders
spantune compare --config configs/study.yaml --models bert-base-uncased distilbert-base-uncased
""",
)
