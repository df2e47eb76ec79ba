"""What scores are worth, and where answers go wrong: arrays in, plain numbers out."""

from spantune.analysis.answerability import best_threshold, null_scores, threshold_curve
from spantune.analysis.disagreements import disagreements, only_first_right, right_and_wrong
from spantune.analysis.error_kinds import error_kinds, kind_counts
from spantune.analysis.scores import Scores, score_runs
from spantune.analysis.semantic import meanings
from spantune.analysis.slices import slice_scores
from spantune.analysis.statistics import Comparison, compare

__all__ = [
    "Comparison",
    "Scores",
    "best_threshold",
    "compare",
    "disagreements",
    "error_kinds",
    "kind_counts",
    "meanings",
    "null_scores",
    "only_first_right",
    "right_and_wrong",
    "score_runs",
    "slice_scores",
    "threshold_curve",
]
