"""Encoder, method and span head behind one forward rule."""

from spantune.modeling.encoders import load_tokenizer
from spantune.modeling.span_model import ParameterCount, SpanLogits, SpanModel, build, count_parameters
from spantune.modeling.storage import Saved, load, save

__all__ = [
    "ParameterCount",
    "Saved",
    "SpanLogits",
    "SpanModel",
    "build",
    "count_parameters",
    "load",
    "load_tokenizer",
    "save",
]
