"""DeLoRA: a normalised low-rank update with a learned length, so that direction and strength are learned apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require, require_rank, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import DeloraConfig


@dataclass(frozen=True)
class DeloraOptions:
    rank: int = 16
    """Rank r of the update."""
    strength: int = 1
    """First value of the update's bound (lambda in the paper), learned from there on."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require_rank(self.rank, 1)
        require(self.strength > 0, "strength", "above 0", self.strength)


@method(
    "delora",
    label="DeLoRA",
    family="reparametrisation",
    paper="Bini et al. 2025, arXiv:2503.18225",
    learning_rate=3e-3,
    grid=(1e-3, 3e-3, 1e-2),
    options=DeloraOptions,
    mergeable=True,
)
def delora(options: DeloraOptions, encoder: EncoderShape) -> DeloraConfig:
    """A low-rank update whose direction and strength are learned apart."""
    from peft import DeloraConfig

    return DeloraConfig(
        r=options.rank,
        delora_lambda=options.strength,
        target_modules=target_layers(options.targets, encoder, rank=options.rank),
    )
