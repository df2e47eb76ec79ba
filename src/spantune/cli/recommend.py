"""`spantune recommend`: which method to take, from a finished study."""

from __future__ import annotations

from spantune.cli.output import print_json, quoted
from spantune.config import RecommendConfig
from spantune.config.parse.command import Command
from spantune.errors import RunError


def run(config: RecommendConfig) -> None:
    """Prints the choice and its reasons; where nothing is within the limits, that is an error that says how near."""
    from spantune.studies.recommend import recommend

    found = recommend(config)
    if config.json:
        print_json(found.as_json())
    if found.taken is None:
        raise RunError(found.nothing(), where=config.study, fix=found.remedy())
    if not config.json:
        print(found.text(quoted))


COMMAND = Command(
    name="recommend",
    summary="Choose a method from a finished study within limits: which, why, what the next best would cost.",
    config=RecommendConfig,
    run=run,
    examples="""
# the cheapest of the methods that are tied with the best
spantune recommend studies/compare
# no adapter above 5 MB, no question above 30 ms
spantune recommend studies/compare --max-adapter-mb 5 --max-latency-ms 30
# for a program
spantune recommend studies/compare --min-f1 80 --json
""",
)
