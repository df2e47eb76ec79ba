"""The weights of linear layers in the type that they are multiplied in, for a model that only answers.

Autocast casts them anew in every pass: for one question of 200 tokens that is a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Iterator

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
