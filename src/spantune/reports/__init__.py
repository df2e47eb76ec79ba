"""Tables, plots and the report of a study, from its records and answers. No torch."""

from spantune.reports.judged_answers import Evidence
from spantune.reports.notebook_views import (
    Questions,
    errors_figure,
    slices,
    slices_figure,
    telling_questions,
)
from spantune.reports.tables.detail_tables import differences, errors, standings
from spantune.reports.tables.main_table import Table
from spantune.reports.write_report import Report, read_report

__all__ = [
    "Evidence",
    "Questions",
    "Report",
    "Table",
    "differences",
    "errors",
    "errors_figure",
    "read_report",
    "slices",
    "slices_figure",
    "standings",
    "telling_questions",
]
