"""A trained model that answers."""

from spantune.inference.evaluation import evaluate_run
from spantune.inference.panel import Panel
from spantune.inference.predictor import Predictor

__all__ = ["Panel", "Predictor", "evaluate_run"]
