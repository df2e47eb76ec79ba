"""RoAd: pairs of a layer's outputs are rotated and stretched by learned angles and lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import target_layers, target_paths
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import RoadConfig


@dataclass(frozen=True)
class RoadOptions:
    variant: Literal["road_1", "road_2", "road_4"] = "road_1"
    """How many parameters each pair of outputs has: 2, 4 or 8."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""


@method(
    "road",
    label="RoAd",
    family="rescaling",
    paper="Liao and Monz 2024, arXiv:2409.00119",
    learning_rate=1e-2,
    grid=(3e-3, 1e-2, 3e-2),
    options=RoadOptions,
    mergeable=True,
)
def road(options: RoadOptions, encoder: EncoderShape) -> RoadConfig:
    """Learned rotations of the layers' outputs, two by two."""
    from peft import RoadConfig

    return RoadConfig(
        variant=options.variant,
        # Outputs are paired inside groups, which must divide every width.
        group_size=math.gcd(64, *(encoder.linears[path][1] for path in target_paths(options.targets, encoder))),
        target_modules=target_layers(options.targets, encoder),
    )
