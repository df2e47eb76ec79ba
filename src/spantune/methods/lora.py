"""LoRA: a frozen weight W (D_out, D_in) plus a learned product of rank r, `W + alpha/r * B A`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require_rank, target_layers
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
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require_rank(self.rank, self.alpha, self.dropout)


@method(
    "lora",
    label="LoRA",
    family="reparametrisation",
    paper="Hu et al. 2022, arXiv:2106.09685",
    learning_rate=1e-3,
    grid=(5e-4, 1e-3, 2e-3),
    options=LoraOptions,
    mergeable=True,
    low_rank=True,
)
def lora(options: LoraOptions, encoder: EncoderShape) -> LoraConfig:
    """A low-rank update beside each frozen weight."""
    return lora_config(options, encoder)


def lora_config(options: LoraOptions, encoder: EncoderShape, **variant: Any) -> LoraConfig:
    """LoRA's configuration, or that of a variant of it."""
    from peft import LoraConfig

    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=target_layers(options.targets, encoder, rank=options.rank),
        **variant,
    )
