"""EM, F1, intervals, slices and kinds of error, and the official prediction files.

The names of `__all__` are loaded when they are asked for: `official_metrics` and `prediction_files` need the standard
library alone, the others numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spantune.scoring.answerability import best_threshold, null_scores, threshold_curve
    from spantune.scoring.disagreements import disagreements, only_first_right, right_and_wrong
    from spantune.scoring.error_kinds import error_kinds, kind_counts
    from spantune.scoring.score_run import evaluate_run
    from spantune.scoring.scores import Scores, score_runs
    from spantune.scoring.semantic import meanings
    from spantune.scoring.slices import slice_scores
    from spantune.scoring.statistics import Comparison, compare

__all__ = [
    "Comparison",
    "Scores",
    "best_threshold",
    "compare",
    "disagreements",
    "error_kinds",
    "evaluate_run",
    "kind_counts",
    "meanings",
    "null_scores",
    "only_first_right",
    "right_and_wrong",
    "score_runs",
    "slice_scores",
    "threshold_curve",
]

_DEFINED_IN = {
    "answerability": ("best_threshold", "null_scores", "threshold_curve"),
    "disagreements": ("disagreements", "only_first_right", "right_and_wrong"),
    "error_kinds": ("error_kinds", "kind_counts"),
    "score_run": ("evaluate_run",),
    "scores": ("Scores", "score_runs"),
    "semantic": ("meanings",),
    "slices": ("slice_scores",),
    "statistics": ("Comparison", "compare"),
}


def __getattr__(name: str) -> Any:
    for module, names in _DEFINED_IN.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
