"""Top layers: the last n layers of the encoder learn, those below stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

from spantune.errors import MethodError
from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require
from spantune.methods.registry import Unfreeze, method


@dataclass(frozen=True)
class TopLayersOptions:
    layers: int = 2
    """How many layers learn, counted from the last."""

    def __post_init__(self) -> None:
        require(self.layers >= 1, "layers", "1 or more", self.layers)


@method(
    "top-layers",
    label="Top layers",
    family="selective",
    paper="Howard and Ruder 2018 (ULMFiT), arXiv:1801.06146; Lee et al. 2019, arXiv:1911.03090",
    learning_rate=3e-4,
    grid=(1e-4, 3e-4, 1e-3),
    options=TopLayersOptions,
)
def top_layers(options: TopLayersOptions, encoder: EncoderShape) -> Unfreeze:
    """The last layers learn."""
    if options.layers > encoder.layers:
        raise MethodError(
            f"this encoder ({encoder.architecture.model_type}) has fewer layers of its own than should learn",
            where="layers",
            expected=f"1 to {encoder.layers}",
            found=str(options.layers),
            fix="fewer layers, or --method full",
        )
    last = "|".join(str(number) for number in range(encoder.layers - options.layers, encoder.layers))
    return Unfreeze(encoder.architecture.inside_layers(".*", layers=last), "layers")
