"""Tables, plots and the report of a study, from its records and answers. No torch."""

from spantune.reports.browser import Questions, telling_questions
from spantune.reports.judged_answers import Evidence
from spantune.reports.notebook_views import differences, errors, errors_figure, slices, slices_figure, standings
from spantune.reports.report import Report, read_report
from spantune.reports.tables.main_table import Table

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
