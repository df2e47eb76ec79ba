"""Encoder, method and span head behind one forward rule."""

from spantune.modeling.costs import Costs, costs_of, costs_of_all, count_parameters, empty_model
from spantune.modeling.encoders import load_tokenizer
from spantune.modeling.save_load import Saved, load, save
from spantune.modeling.span_model import SpanLogits, SpanModel, build

__all__ = [
    "Costs",
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
