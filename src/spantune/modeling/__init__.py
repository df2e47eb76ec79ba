"""Encoder, method and span head behind one forward rule."""

from spantune.modeling.costs import Costs, costs_of, costs_of_all, count_parameters, empty_model
from spantune.modeling.encoders import load_tokenizer
from spantune.modeling.span_model import ParameterCount, SpanLogits, SpanModel, build
from spantune.modeling.storage import Saved, load, save

__all__ = [
    "Costs",
    "ParameterCount",
    "Saved",
    "SpanLogits",
    "SpanModel",
    "build",
    "costs_of",
    "costs_of_all",
    "count_parameters",
    "empty_model",
    "load",
    "load_tokenizer",
    "save",
]
