"""Data: from a source to checked examples. Imports neither torch nor `datasets` until a source needs it."""

from spantune.data.checks.defects import Defect
from spantune.data.checks.doctor import Diagnosis, Lengths, diagnose, sample_statistics, statistics
from spantune.data.corpus import Corpus, examine, fingerprint, load_corpus
from spantune.data.example import Answer, Example
from spantune.data.splits import Splits, load_evaluation, load_reported, load_splits

__all__ = [
    "Answer",
    "Corpus",
    "Defect",
    "Diagnosis",
    "Example",
    "Lengths",
    "Splits",
    "diagnose",
    "examine",
    "fingerprint",
    "load_corpus",
    "load_evaluation",
    "load_reported",
    "load_splits",
    "sample_statistics",
    "statistics",
]
