"""The weights of linear layers in the type that they are multiplied in, while a model only answers.

Autocast casts them anew in every pass: for one question of 200 tokens that is a tenth of the time, for a batch of 2,048
tokens a twentieth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from spantune.modeling.span_model import SpanModel


def cast_linear_weights(model: SpanModel, dtype: torch.dtype) -> int:
    """Store them in `dtype`, in place; bytes that became free.

    Under autocast to `dtype` no logit changes by a bit: these weights are rounded as it rounds them. Without autocast
    the model no longer runs, and it can neither learn nor be saved as it was. An adapter's own layers stay as they are:
    they are small, and some compute with their weights before they multiply by them.
    """
    freed = 0
    for layer in _linear_layers(model):
        for weight in layer.parameters(recurse=False):
            before = weight.untyped_storage().nbytes()
            weight.data = weight.data.to(dtype)
            freed += before - weight.untyped_storage().nbytes()
    return freed


@contextmanager
def linear_weights_cast(model: SpanModel, dtype: torch.dtype) -> Iterator[None]:
    """`cast_linear_weights` for as long as the context lasts: behind it the model has its own weights again.

    In between it holds both, half as much again as the weights alone. Threads may answer with one model at the same
    time: each gives back what it took, and autocast casts what another one gave back too early.
    """
    kept = []
    with torch.inference_mode(False), torch.no_grad():  # a tensor of inference mode can't stand in for a trained one
        for layer in _linear_layers(model):
            for weight in layer.parameters(recurse=False):
                if weight.dtype != dtype != torch.float32:
                    kept.append((weight, weight.data))
                    weight.data = weight.data.to(dtype)
    try:
        yield
    finally:
        for weight, own in kept:
            weight.data = own


def _linear_layers(model: SpanModel) -> Iterator[nn.Linear]:
    """Those of the encoder and its head. None where the method computes with the encoder's weights themselves."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    if adapted and model.method.reads_weights:
        return
    inside = {id(part) for one in adapted for part in one.modules()}
    encoders = {id(one.get_base_layer()) for one in adapted}
    for module in model.modules():
        if type(module) is nn.Linear and (id(module) in encoders or id(module) not in inside):
            yield module
