"""Standard fine-tuning: the reference that every other method is measured against."""

from __future__ import annotations

from spantune.methods.architectures import EncoderShape
from spantune.methods.registry import NoOptions, Unfreeze, method


@method(
    "full",
    label="Full fine-tuning",
    family="reference",
    paper="Devlin et al. 2019, arXiv:1810.04805",
    learning_rate=1e-4,
    grid=(5e-5, 1e-4, 2e-4),
    whole_encoder=True,
)
def full(options: NoOptions, encoder: EncoderShape) -> Unfreeze:
    """Every weight of the encoder learns."""
    return Unfreeze(r".*")
