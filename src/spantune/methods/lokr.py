"""LoKr: the update is a Kronecker product of a small matrix and a larger one of low rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require_rank, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import LoKrConfig


@dataclass(frozen=True)
class LokrOptions:
    rank: int = 16
    """Rank of the larger factor; where twice the rank reaches its longer side, it is not split."""
    alpha: int = 32
    """The update is scaled by alpha / rank."""
    dropout: float = 0.0
    """Chance that an output of the update is dropped while training."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require_rank(self.rank, self.alpha, self.dropout)


@method(
    "lokr",
    label="LoKr",
    family="reparametrisation",
    paper="Yeh et al. 2024 (LyCORIS), arXiv:2309.14859",
    learning_rate=3e-3,
    grid=(1e-3, 3e-3, 1e-2),
    options=LokrOptions,
    mergeable=True,
)
def lokr(options: LokrOptions, encoder: EncoderShape) -> LoKrConfig:
    """A Kronecker product as update."""
    from peft import LoKrConfig

    return LoKrConfig(
        r=options.rank,
        alpha=options.alpha,
        rank_dropout=options.dropout,
        target_modules=target_layers(options.targets, encoder, rank=options.rank),
    )
