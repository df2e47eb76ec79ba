"""LoHa: the update is the Hadamard product of two low-rank ones, `alpha/r * (B1 A1) o (B2 A2)`, of rank up to r^2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require_rank, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import LoHaConfig


@dataclass(frozen=True)
class LohaOptions:
    rank: int = 8
    """Rank r of each of the two factors."""
    alpha: int = 16
    """The update is scaled by alpha / rank."""
    dropout: float = 0.0
    """Chance that an output of the update is dropped while training."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require_rank(self.rank, self.alpha, self.dropout)


@method(
    "loha",
    label="LoHa",
    family="reparametrisation",
    paper="Hyeon-Woo et al. 2022 (FedPara), arXiv:2108.06098",
    learning_rate=5e-3,
    grid=(2e-3, 5e-3, 1e-2),
    options=LohaOptions,
    mergeable=True,
)
def loha(options: LohaOptions, encoder: EncoderShape) -> LoHaConfig:
    """A Hadamard product of two low-rank updates."""
    from peft import LoHaConfig

    return LoHaConfig(
        r=options.rank,
        alpha=options.alpha,
        rank_dropout=options.dropout,
        target_modules=target_layers(options.targets, encoder, rank=options.rank),
    )
