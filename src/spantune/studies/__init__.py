"""Several runs on the same data, compared."""

from spantune.studies.compare import compare
from spantune.studies.recommend import Recommendation, recommend
from spantune.studies.record import FinalRun, Point, StudyRecord, Sweep
from spantune.studies.report import report

__all__ = ["FinalRun", "Point", "Recommendation", "StudyRecord", "Sweep", "compare", "recommend", "report"]
