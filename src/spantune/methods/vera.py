"""VeRA: all layers share one pair of frozen random matrices; each layer learns two vectors that scale them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import VeraConfig


@dataclass(frozen=True)
class VeraOptions:
    rank: int = 256
    """Width of the shared random projections."""
    projection_seed: int = 0
    """Seeds the random projections, which are saved with the adapter."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require(1 <= self.rank <= 4096, "rank", "1 to 4096", self.rank)
        require(self.projection_seed >= 0, "projection_seed", "0 or more", self.projection_seed)


@method(
    "vera",
    label="VeRA",
    family="reparametrisation",
    paper="Kopiczko et al. 2024, arXiv:2310.11454",
    learning_rate=1e-2,
    grid=(3e-3, 1e-2, 3e-2),
    options=VeraOptions,
    mergeable=True,
)
def vera(options: VeraOptions, encoder: EncoderShape) -> VeraConfig:
    """Learned scales of shared random projections."""
    from peft import VeraConfig

    return VeraConfig(
        r=options.rank,
        projection_prng_key=options.projection_seed,
        save_projection=True,
        target_modules=target_layers(options.targets, encoder),
    )
