"""`spantune report`: the report of a study, written into its folder."""

from __future__ import annotations

from spantune.config.commands import ReportConfig
from spantune.config.parse.command import Command


def run(config: ReportConfig) -> None:
    """Write the report and print its headline, the table and the path of the page."""
    from spantune.studies.report import report

    made = report(config.study)
    print(f"{made.finding}\n\n{made.table.to_text()}\nreport: {made.written[0]}")


COMMAND = Command(
    name="report",
    config=ReportConfig,
    run=run,
    examples="""
# after `spantune compare`
spantune report studies/compare
""",
)
