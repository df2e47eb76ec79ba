"""Tables, plots and the report of a study, from its records and answers. No torch."""

from spantune.reports.browser import Questions, telling_questions
from spantune.reports.evidence import Evidence
from spantune.reports.report import Report, read_report
from spantune.reports.table import Table
from spantune.reports.views import differences, errors, errors_figure, slices, slices_figure, standings

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
