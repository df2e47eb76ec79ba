"""LoRA: a frozen weight W (D_out, D_in) plus a learned product of rank r, `W + alpha/r * B A`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import TARGETS, EncoderShape
from spantune.methods.options import Targets, require_rank
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import LoraConfig


@dataclass(frozen=True)
class LoraOptions:
    rank: int = 16
    """Rank r of the update."""
    alpha: int = 32
    """The update is scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout on the update's input while training."""
    targets: Targets = "linear"
    """Which layers are adapted."""

    def __post_init__(self) -> None:
        require_rank(self.rank, self.alpha, self.dropout)


@method(
    "lora",
    label="LoRA",
    family="reparametrisation",
    paper="Hu et al. 2022, arXiv:2106.09685",
    learning_rate=2e-3,
    grid=(1e-3, 2e-3, 4e-3),
    options=LoraOptions,
    mergeable=True,
)
def lora(options: LoraOptions, encoder: EncoderShape) -> LoraConfig:
    """A low-rank update beside each frozen weight."""
    from peft import LoraConfig

    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=encoder.architecture.pattern(TARGETS[options.targets]),
    )
