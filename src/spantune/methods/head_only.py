"""The floor: what the frozen encoder's features already say."""

from __future__ import annotations

from spantune.methods.architectures import EncoderShape
from spantune.methods.registry import NoOptions, Unfreeze, method

PLAIN = "head-only"
"""The method that adds nothing to the encoder: untrained, its model is the encoder as it is."""


@method(
    PLAIN,
    label="Head only",
    family="reference",
    paper="Alain and Bengio 2016 (linear probes), arXiv:1610.01644",
    learning_rate=1e-1,
    grid=(1e-2, 1e-1, 1.0),
)
def head_only(options: NoOptions, encoder: EncoderShape) -> Unfreeze:
    """Only the span head learns; the encoder stays as it is."""
    return Unfreeze(r"(?!)")
