"""MiSS: the update is one small trainable matrix, repeated over blocks of the input (called Bone before)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require_rank, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import MissConfig


@dataclass(frozen=True)
class MissOptions:
    rank: int = 16
    """Rank of the update; the input is cut into shards of this width."""
    dropout: float = 0.0
    """Dropout on the update's input while training."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require_rank(self.rank, 1, self.dropout)


@method(
    "miss",
    label="MiSS",
    family="reparametrisation",
    paper="Kang and Yin 2025, arXiv:2409.15371",
    learning_rate=4e-4,
    grid=(2e-4, 4e-4, 8e-4),
    options=MissOptions,
    mergeable=True,
)
def miss(options: MissOptions, encoder: EncoderShape) -> MissConfig:
    """One small matrix, repeated over the shards of each weight."""
    from peft import MissConfig

    return MissConfig(
        r=options.rank,
        miss_dropout=options.dropout,
        target_modules=target_layers(options.targets, encoder, rank=options.rank),
    )
