"""OFT: each weight is turned by a learned block-diagonal rotation, which keeps the angles between its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import OFTConfig


@dataclass(frozen=True)
class OftOptions:
    block_size: int = 32
    """Width of a rotation's blocks; where it does not divide a layer's width, the nearest that does is taken."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require(self.block_size >= 2, "block_size", "2 or more", self.block_size)


@method(
    "oft",
    label="OFT",
    family="reparametrisation",
    paper="Qiu et al. 2023, arXiv:2306.07280",
    learning_rate=3e-3,
    grid=(1e-3, 3e-3, 1e-2),
    options=OftOptions,
    mergeable=True,
)
def oft(options: OftOptions, encoder: EncoderShape) -> OFTConfig:
    """A learned rotation of each weight."""
    from peft import OFTConfig

    return OFTConfig(
        r=0,
        oft_block_size=options.block_size,
        use_cayley_neumann=False,  # exact rotations: the series drifts from orthogonality at useful learning rates
        target_modules=target_layers(options.targets, encoder),
    )
