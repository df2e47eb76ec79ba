"""(IA)3: learned vectors rescale keys, values and the feed-forward's inner activations; they begin at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.registry import NoOptions, method

if TYPE_CHECKING:
    from peft import IA3Config


@method(
    "ia3",
    label="(IA)³",
    family="rescaling",
    paper="Liu et al. 2022, arXiv:2205.05638",
    learning_rate=3e-2,
    grid=(1e-2, 3e-2, 1e-1),
    mergeable=True,
)
def ia3(options: NoOptions, encoder: EncoderShape) -> IA3Config:
    """Learned vectors rescale keys, values and feed-forward activations."""
    from peft import IA3Config

    return IA3Config(
        target_modules=encoder.architecture.pattern(("key", "value", "ffn_out")),
        # On these the vector scales the input (the inner activation), as in the paper, not the output.
        feedforward_modules=encoder.architecture.pattern(("ffn_out",)),
    )
