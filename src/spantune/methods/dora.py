"""DoRA: each weight is split into learned lengths and directions; LoRA updates the directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.lora import LoraOptions, lora_config
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import LoraConfig


@method(
    "dora",
    label="DoRA",
    family="reparametrisation",
    paper="Liu et al. 2024, arXiv:2402.09353",
    learning_rate=2e-3,
    grid=(1e-3, 2e-3, 4e-3),
    options=LoraOptions,
    mergeable=True,
    reads_weights=True,
)
def dora(options: LoraOptions, encoder: EncoderShape) -> LoraConfig:
    """LoRA on the directions of each weight, and learned lengths."""
    return lora_config(options, encoder, use_dora=True)
