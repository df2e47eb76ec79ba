"""Several runs on the same data, compared."""

from spantune.studies.compare import compare, compare_and_report
from spantune.studies.recommend import Recommendation, recommend
from spantune.studies.record import FinalRun, Point, StudyRecord, Sweep
from spantune.studies.report import report, report_of, summary

__all__ = [
    "FinalRun",
    "Point",
    "Recommendation",
    "StudyRecord",
    "Sweep",
    "compare",
    "compare_and_report",
    "recommend",
    "report",
    "report_of",
    "summary",
]
