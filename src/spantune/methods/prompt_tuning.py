"""Prompt tuning: V learned embeddings before the input, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import PromptTuningConfig


@dataclass(frozen=True)
class PromptTuningOptions:
    length: int = 20
    """Virtual tokens V; they take V of the encoder's positions."""

    def __post_init__(self) -> None:
        require(1 <= self.length <= 256, "length", "1 to 256", self.length)


@method(
    "prompt-tuning",
    label="Prompt tuning",
    family="prompt",
    paper="Lester et al. 2021, arXiv:2104.08691",
    learning_rate=3e-2,
    grid=(1e-2, 3e-2, 1e-1),
    options=PromptTuningOptions,
)
def prompt_tuning(options: PromptTuningOptions, encoder: EncoderShape) -> PromptTuningConfig:
    """Learned embeddings before the input."""
    from peft import PromptTuningConfig

    return PromptTuningConfig(
        num_virtual_tokens=options.length,
        # As in the paper's section 3.2, the prompt begins with the embeddings of words of the vocabulary.
        prompt_tuning_init="SAMPLE_VOCAB",
        token_dim=encoder.embedding_size,
        num_layers=encoder.layers,
        num_attention_heads=encoder.heads,
        num_transformer_submodules=1,
    )
