"""Encoder, method and span head with one forward pass."""

from spantune.modeling.build import build
from spantune.modeling.costs import Costs, costs_of, costs_of_all, count_parameters, empty_model
from spantune.modeling.save_load import Saved, load, load_tokenizer, save
from spantune.modeling.span_model import SpanLogits, SpanModel

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
