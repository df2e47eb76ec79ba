"""What a method costs on an encoder, from the encoder's configuration alone: weights are neither read nor made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from spantune.errors import MethodError
from spantune.methods import get, methods
from spantune.modeling.architecture_detection import shape_of
from spantune.modeling.encoders import empty_network
from spantune.modeling.save_load import load_config, saved_tensors
from spantune.modeling.span_model import SpanModel, adapt
from spantune.runs.manifest import Identity
from spantune.runs.record import ParameterCount

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from spantune.modeling.prompt_tokens import DeepPrefix, InputPrompt

WINDOWS, TOKENS = 32, 128
"""The batch on which the forward pass is counted: windows, and tokens of each (fewer if the encoder takes fewer)."""


@dataclass(frozen=True)
class Costs:
    """What one method costs on one encoder.

    Attributes:
        saved_bytes: the weights that `save` writes of a fresh model, fp32, span head included.
        forward: matrix products of one forward pass of a batch through the unmerged model, by those of the encoder
            without the method (1.0: none added). Virtual tokens come ready-made, as in a loaded model.
    """

    parameters: ParameterCount
    saved_bytes: int
    forward: float


def costs_of(model: str, method: str, options: Mapping[str, Any] | None = None) -> Costs:
    """What `method` costs on the encoder `model`.

    Raises:
        EncoderError, MethodError: as `build` does.
    """
    return _costs(load_config(model), method, options, {})


def costs_of_all(model: str) -> dict[str, Costs | MethodError]:
    """What each method of the registry costs on an encoder with its default options, or why it is refused there.

    Raises:
        EncoderError: the encoder takes no method at all.
    """
    config, plain = load_config(model), dict[int, int]()
    costs: dict[str, Costs | MethodError] = {}
    for name in methods():
        try:
            costs[name] = _costs(config, name, None, plain)
        except MethodError as error:
            costs[name] = error
    return costs


def empty_model(config: PretrainedConfig, method: str, options: Mapping[str, Any] | None = None) -> SpanModel:
    """The adapted model without weights, on the meta device: to look at and to count, not to answer.

    Raises:
        EncoderError, MethodError: as `build` does.
    """
    chosen = get(method)
    network = empty_network(config)
    injection: Any = chosen.inject(chosen.resolve(options or {}), shape_of(network))
    if hasattr(injection, "init_lora_weights"):
        injection.init_lora_weights = False  # no first values from the decomposition of weights that are not there
    identity = Identity(method, dict(options or {}), "", config.model_type, "")
    return adapt(network, identity, injection).to("meta").eval()


def count_parameters(model: str, method: str, options: Mapping[str, Any] | None = None) -> ParameterCount:
    """What `method` would train on the encoder `model`; raises as `costs_of` does."""
    return empty_model(load_config(model), method, options).count_parameters()


def _costs(config: PretrainedConfig, method: str, options: Mapping[str, Any] | None, plain: dict[int, int]) -> Costs:
    """`plain` keeps what the encoder alone takes for windows of so many tokens."""
    model = empty_model(config, method, options)
    tokens = min(TOKENS, model.max_length)
    if tokens not in plain:
        plain[tokens] = _matrix_products(empty_network(config).eval(), tokens)
    return Costs(
        parameters=model.count_parameters(),
        saved_bytes=sum(weight.numel() * weight.element_size() for weight in saved_tensors(model).values()),
        forward=_matrix_products(model.network, tokens, model.virtual) / plain[tokens],
    )


def _matrix_products(network: Any, tokens: int, virtual: DeepPrefix | InputPrompt | None = None) -> int:
    """Floating-point operations in the matrix products of a forward pass of a batch, on the meta device.

    Mask and segment ids are left out: they change no product, and transformers looks into masks and, in some families,
    for padding among ids, which cannot be done there.
    """
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.zeros(WINDOWS, tokens, dtype=torch.long, device="meta")
    inputs: dict[str, Any] = {"inputs_embeds": network.get_input_embeddings()(ids)}
    if virtual is not None:
        inputs = virtual.prepend(network, {"input_ids": ids})
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(**inputs)
    return counter.get_total_flops()
