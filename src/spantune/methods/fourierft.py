"""FourierFT: the update is the inverse Fourier transform of a few learned coefficients at random frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.errors import MethodError
from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require, target_layers, target_paths
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import FourierFTConfig


@dataclass(frozen=True)
class FourierftOptions:
    frequencies: int = 1000
    """Learned coefficients of each weight."""
    scaling: float = 100.0
    """Factor on the update."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require(self.frequencies >= 1, "frequencies", "1 or more", self.frequencies)
        require(self.scaling > 0, "scaling", "above 0", self.scaling)


@method(
    "fourierft",
    label="FourierFT",
    family="reparametrisation",
    paper="Gao et al. 2024, arXiv:2405.03003",
    learning_rate=1e-2,
    grid=(3e-3, 1e-2, 3e-2),
    options=FourierftOptions,
    mergeable=True,
)
def fourierft(options: FourierftOptions, encoder: EncoderShape) -> FourierFTConfig:
    """A few learned Fourier coefficients as update."""
    from peft import FourierFTConfig

    fewest = min(math.prod(encoder.linears[path]) for path in target_paths(options.targets, encoder))
    if options.frequencies > fewest:
        raise MethodError(
            "there are more frequencies than weights in the smallest of the layers",
            where="frequencies",
            expected=f"1 to {fewest}",
            found=str(options.frequencies),
            fix="fewer frequencies, or other targets",
        )
    return FourierFTConfig(
        n_frequency=options.frequencies,
        scaling=options.scaling,
        init_weights=True,  # coefficients begin at zero, so that the encoder does, too
        target_modules=target_layers(options.targets, encoder),
    )
