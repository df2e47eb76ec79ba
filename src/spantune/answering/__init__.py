"""From an example to its answer: windows, logits, spans, predictions.

`Predictor` and `Panel` are loaded when they are asked for: they need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spantune.answering.model_panel import Panel
    from spantune.answering.predictor import Predictor

__all__ = ["Panel", "Predictor"]

_DEFINED_IN = {"Panel": "model_panel", "Predictor": "predictor"}


def __getattr__(name: str) -> Any:
    if name in _DEFINED_IN:
        return getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
