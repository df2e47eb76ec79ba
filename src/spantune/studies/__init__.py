"""Several runs on the same data, compared."""

from spantune.studies.compare import compare
from spantune.studies.record import FinalRun, Point, StudyRecord, Sweep

__all__ = ["FinalRun", "Point", "StudyRecord", "Sweep", "compare"]
