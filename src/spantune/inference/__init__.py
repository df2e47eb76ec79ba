"""A trained model that answers."""

from spantune.inference.evaluation import evaluate_run
from spantune.inference.predictor import Predictor

__all__ = ["Predictor", "evaluate_run"]
