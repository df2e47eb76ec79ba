"""BitFit: the encoder's bias terms learn, its matrices stay as they are."""

from __future__ import annotations

from spantune.methods.architectures import EncoderShape
from spantune.methods.registry import NoOptions, Unfreeze, method


@method(
    "bitfit",
    label="BitFit",
    family="selective",
    paper="Ben Zaken et al. 2022, arXiv:2106.10199",
    learning_rate=3e-3,
    grid=(1e-3, 3e-3, 1e-2),
)
def bitfit(options: NoOptions, encoder: EncoderShape) -> Unfreeze:
    """Only the bias terms learn."""
    return Unfreeze(r".*[._]bias", "bias terms")
