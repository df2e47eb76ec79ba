"""(IA)3: learned vectors rescale keys, values and the feed-forward's inner activations; they begin at one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.errors import MethodError
from spantune.methods.architectures import EncoderShape
from spantune.methods.options import target_layers, target_paths
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import IA3Config


@dataclass(frozen=True)
class Ia3Options:
    targets: str = "key,value,ffn_out"
    """Which layers are rescaled: query-value, attention, linear, or names separated by commas."""
    inputs: str = "ffn_out"
    """Those of them of which the input is rescaled, not the output: the feed-forward's inner activation."""


@method(
    "ia3",
    label="(IA)³",
    family="rescaling",
    paper="Liu et al. 2022, arXiv:2205.05638",
    learning_rate=3e-2,
    grid=(1e-2, 3e-2, 1e-1),
    options=Ia3Options,
    mergeable=True,
)
def ia3(options: Ia3Options, encoder: EncoderShape) -> IA3Config:
    """Learned vectors rescale keys, values and feed-forward activations."""
    from peft import IA3Config

    others = sorted(set(target_paths(options.inputs, encoder)) - set(target_paths(options.targets, encoder)))
    if others:
        raise MethodError(
            "the input of a layer is to be rescaled that is no target",
            where="inputs",
            expected=f"some of {options.targets}",
            found=", ".join(others),
            fix="name it among the targets, too",
        )
    return IA3Config(
        target_modules=target_layers(options.targets, encoder),
        feedforward_modules=target_layers(options.inputs, encoder),
    )
