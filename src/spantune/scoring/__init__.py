"""EM, F1, intervals, slices and kinds of error, and the official prediction files.

The names of `__all__` are loaded when they are asked for: `official_metrics` and `prediction_files` need the standard
library alone, the others numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DEFINED_IN = {
    "Comparison": "statistics",
    "Scores": "scores",
    "best_threshold": "answerability",
    "compare": "statistics",
    "evaluate_run": "score_run",
    "kind_counts": "error_kinds",
    "meanings": "semantic",
    "null_scores": "answerability",
    "only_first_right": "disagreements",
    "right_and_wrong": "disagreements",
    "score_runs": "scores",
    "slice_scores": "slices",
    "threshold_curve": "answerability",
}
__all__ = list(_DEFINED_IN)


def __getattr__(name: str) -> Any:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)
