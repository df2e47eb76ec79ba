"""`spantune recommend`: which method to use, according to a finished study."""

from __future__ import annotations

from spantune.cli.output import print_json, quoted
from spantune.config import RecommendConfig
from spantune.config.parse.command import Command
from spantune.errors import RunError


def run(config: RecommendConfig) -> None:
    """Print the choice and its reasons; RunError if no method is within the limits."""
    from spantune.studies.recommend import recommend

    recommendation = recommend(config)
    if config.json:
        print_json(recommendation.as_json())
    if recommendation.taken is None:
        raise RunError(recommendation.nothing(), where=config.study, fix=recommendation.remedy())
    if not config.json:
        print(recommendation.text(quoted))


COMMAND = Command(
    name="recommend",
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
