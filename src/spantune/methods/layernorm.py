"""LayerNorm tuning: the scales and shifts of the encoder's normalisations learn."""

from __future__ import annotations

from spantune.methods.architectures import EncoderShape
from spantune.methods.registry import NoOptions, Unfreeze, method


@method(
    "layernorm",
    label="LayerNorm",
    family="selective",
    paper="Zhao et al. 2024, arXiv:2312.11420",
    learning_rate=1e-2,
    grid=(3e-3, 1e-2, 3e-2),
)
def layernorm(options: NoOptions, encoder: EncoderShape) -> Unfreeze:
    """Only the scales and shifts of the normalisations learn."""
    return Unfreeze(r".*([nN]orm|\.ln)\.(weight|bias)", "normalisations")
