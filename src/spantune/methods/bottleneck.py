"""Bottleneck adapters: small networks with a skip connection after the sublayers, `x + up(act(down(x)))`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spantune.methods.architectures import EncoderShape, Role
from spantune.methods.options import require
from spantune.methods.registry import Bottleneck, method


@dataclass(frozen=True)
class BottleneckOptions:
    size: int = 48
    """Inner width."""
    placement: Literal["houlsby", "pfeiffer"] = "houlsby"
    """After attention and feed-forward (houlsby), or after the feed-forward alone (pfeiffer)."""
    activation: Literal["gelu", "relu", "tanh"] = "gelu"
    """Between the two matrices."""

    def __post_init__(self) -> None:
        require(1 <= self.size <= 4096, "size", "1 to 4096", self.size)


@method(
    "bottleneck",
    label="Bottleneck adapters",
    family="adapter",
    paper="Houlsby et al. 2019, arXiv:1902.00751; Pfeiffer et al. 2021 (one a layer), arXiv:2005.00247",
    learning_rate=2e-3,
    grid=(1e-3, 2e-3, 4e-3),
    options=BottleneckOptions,
)
def bottleneck(options: BottleneckOptions, encoder: EncoderShape) -> Bottleneck:
    """Small networks after the sublayers, before their residual connection."""
    roles: tuple[Role, ...] = ("ffn_out",) if options.placement == "pfeiffer" else ("attention_output", "ffn_out")
    return Bottleneck(encoder.architecture.pattern(roles), options.size, options.activation)
