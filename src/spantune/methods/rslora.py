"""Rank-stabilised LoRA: the update is scaled by `alpha / sqrt(rank)`, so that large ranks still learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.lora import LoraOptions, lora_config
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import LoraConfig


@method(
    "rslora",
    label="rsLoRA",
    family="reparametrisation",
    paper="Kalajdzievski 2023, arXiv:2312.03732",
    learning_rate=1e-3,
    grid=(5e-4, 1e-3, 2e-3),
    options=LoraOptions,
    mergeable=True,
    low_rank=True,
)
def rslora(options: LoraOptions, encoder: EncoderShape) -> LoraConfig:
    """LoRA whose update keeps its size at every rank."""
    return lora_config(options, encoder, use_rslora=True)
