"""HRA: each weight is turned by a chain of learned Householder reflections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import HRAConfig


@dataclass(frozen=True)
class HraOptions:
    rank: int = 8
    """Reflections of each weight, an even number."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require(self.rank >= 2 and self.rank % 2 == 0, "rank", "an even number, 2 or more", self.rank)


@method(
    "hra",
    label="HRA",
    family="reparametrisation",
    paper="Yuan et al. 2024, arXiv:2405.17484",
    learning_rate=1e-2,
    grid=(3e-3, 1e-2, 3e-2),
    options=HraOptions,
    mergeable=True,
)
def hra(options: HraOptions, encoder: EncoderShape) -> HRAConfig:
    """A chain of learned reflections."""
    from peft import HRAConfig

    return HRAConfig(
        r=options.rank,
        target_modules=target_layers(options.targets, encoder, rank=options.rank),
    )
