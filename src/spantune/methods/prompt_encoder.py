"""P-tuning: V virtual tokens before the input, made by a small network (LSTM or MLP) from learned embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import PromptEncoderConfig


@dataclass(frozen=True)
class PromptEncoderOptions:
    length: int = 20
    """Virtual tokens V; they take V of the encoder's positions."""
    network: Literal["mlp", "lstm"] = "mlp"
    """What makes the virtual tokens while training (it is folded away when saved)."""
    network_size: int = 384
    """Inner width of that network."""

    def __post_init__(self) -> None:
        require(1 <= self.length <= 256, "length", "1 to 256", self.length)
        require(self.network_size >= 1, "network_size", "1 or more", self.network_size)


@method(
    "prompt-encoder",
    label="Prompt encoder",
    family="prompt",
    paper="Liu et al. 2021 (P-tuning), arXiv:2103.10385",
    learning_rate=1e-2,
    grid=(3e-3, 1e-2, 3e-2),
    options=PromptEncoderOptions,
)
def prompt_encoder(options: PromptEncoderOptions, encoder: EncoderShape) -> PromptEncoderConfig:
    """Virtual tokens before the input, made by a small network."""
    from peft import PromptEncoderConfig

    return PromptEncoderConfig(
        num_virtual_tokens=options.length,
        encoder_reparameterization_type=options.network.upper(),
        encoder_hidden_size=options.network_size,
        token_dim=encoder.embedding_size,
        num_layers=encoder.layers,
        num_attention_heads=encoder.heads,
        num_transformer_submodules=1,
    )
