"""Prefix tuning (P-tuning v2): V learned keys and values before the real ones in every layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import PrefixTuningConfig


@dataclass(frozen=True)
class PrefixTuningOptions:
    length: int = 20
    """Virtual tokens V of each layer."""
    projection: bool = False
    """Make the prefix with a two-layer MLP while training (it is folded away when saved)."""
    projection_size: int = 128
    """Inner width of that MLP."""

    def __post_init__(self) -> None:
        require(1 <= self.length <= 512, "length", "1 to 512", self.length)
        require(self.projection_size >= 1, "projection_size", "1 or more", self.projection_size)


@method(
    "prefix-tuning",
    label="Prefix tuning",
    family="prompt",
    paper="Li and Liang 2021, arXiv:2101.00190; Liu et al. 2022 (P-tuning v2), arXiv:2110.07602",
    learning_rate=1e-1,
    grid=(3e-2, 1e-1, 3e-1),
    options=PrefixTuningOptions,
)
def prefix_tuning(options: PrefixTuningOptions, encoder: EncoderShape) -> PrefixTuningConfig:
    """Learned keys and values before the real ones in every layer."""
    from peft import PrefixTuningConfig

    return PrefixTuningConfig(
        num_virtual_tokens=options.length,
        prefix_projection=options.projection,
        encoder_hidden_size=options.projection_size,
        token_dim=encoder.attention_size,
        num_layers=encoder.layers,
        num_attention_heads=encoder.heads,
        num_transformer_submodules=1,
    )
