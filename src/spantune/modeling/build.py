"""A fresh model: pretrained encoder, new span head, untrained adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from spantune.config import BUNDLED
from spantune.methods import get
from spantune.modeling.architecture_detection import shape_of
from spantune.modeling.encoders import fingerprint, lasting_name, weights_digest
from spantune.modeling.save_load import load_network
from spantune.modeling.span_model import SpanModel, adapt
from spantune.runs.manifest import Identity, saved_in


def build(
    model: str,
    method: str,
    options: Mapping[str, Any] | None = None,
    *,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    seed: int = 0,
) -> SpanModel:
    """A fresh model: pretrained encoder, new span head, untrained adapter, everything else frozen.

    Args:
        model: `minilm`, a hub name or a folder. method: a name of the registry. options: its options, defaults else.
        dropout, attention_dropout: of hidden states and attention weights, while training.
        seed: of the head's and the adapter's first values.

    Raises:
        EncoderError, MethodError: see `modeling.encoders` and `methods.registry`.
    """
    chosen = get(method)
    resolved = chosen.resolve(options or {})
    torch.manual_seed(seed)
    network = load_network(model, dropout=dropout, attention_dropout=attention_dropout)
    identity = Identity(
        method=method,
        options=asdict(resolved),
        model=lasting_name(model),
        model_type=network.config.model_type,
        encoder_fingerprint=fingerprint(network),
        encoder_digest=None if model == BUNDLED or saved_in(model) else weights_digest(network),
    )
    return adapt(network, identity, chosen.inject(resolved, shape_of(network)))
