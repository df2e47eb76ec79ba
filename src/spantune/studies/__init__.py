"""Several runs on the same data, compared."""

from spantune.studies.compare import StudyRecord, compare

__all__ = ["StudyRecord", "compare"]
