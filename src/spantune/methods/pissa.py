"""PiSSA: LoRA that begins at the principal singular vectors of each weight; what they leave is frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.lora import LoraOptions, lora_config
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import LoraConfig


@method(
    "pissa",
    label="PiSSA",
    family="reparametrisation",
    paper="Meng et al. 2024, arXiv:2404.02948",
    learning_rate=5e-4,
    grid=(2e-4, 5e-4, 1e-3),
    options=LoraOptions,
    mergeable=True,
)
def pissa(options: LoraOptions, encoder: EncoderShape) -> LoraConfig:
    """LoRA that begins at the principal singular vectors."""
    return lora_config(options, encoder, init_lora_weights="pissa")
