"""Virtual tokens: learned keys and values in every layer, or learned embeddings before the input.

PEFT makes the tokens (`PrefixEncoder`, `PromptEncoder`); what it does with them in a question-answering model is wrong
(labels unshifted, position ids moved, segment ids lost, DistilBERT refused), so this module carries them into the
encoder itself. Shapes: B batch, L tokens, V virtual tokens, H heads, D head width, N layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spantune.errors import MethodError
from spantune.modeling.architecture_detection import architecture_of, first_position, max_positions
from spantune.modeling.kernels.attention import LAYER, PREFIX, RECORD

if TYPE_CHECKING:
    from peft import PromptLearningConfig
    from transformers import PreTrainedModel


def _attention_calls(network: PreTrainedModel, tokens: int) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Module, keys and values (1, H, tokens, D) of every attention call in a pass over the first word pieces."""
    device = next(network.parameters()).device
    # Single characters and common words follow the unused and special entries of most vocabularies.
    first = min(1000, network.config.vocab_size // 2)
    ids = torch.arange(first, first + tokens, device=device).remainder(network.config.vocab_size)[None]
    record: list[tuple[nn.Module, Tensor, Tensor]] = []
    with torch.no_grad():
        # Some families look for padding among ids, which cannot be done on the meta device.
        network(inputs_embeds=network.get_input_embeddings()(ids), **{RECORD: record})
    return record


class DeepPrefix(nn.Module):
    """V learned keys and values before the real ones in every layer; positions and logits stay where they are."""

    positions = 0

    def __init__(self, config: PromptLearningConfig, network: PreTrainedModel) -> None:
        """Take the prefix's first values from the encoder's own keys and values (Li and Liang 2021, section 7.4).

        Raises:
            MethodError: the encoder's attention ignores transformers' AttentionInterface, so a prefix would do nothing.
        """
        from peft import PrefixEncoder

        super().__init__()
        calls = _attention_calls(network, min(config.num_virtual_tokens, network.config.max_position_embeddings - 2))
        # ALBERT calls one module at every depth: the layers that share weights share the prefix.
        first = {id(module): (module, key, value) for module, key, value in reversed(calls)}
        if len(calls) != network.config.num_hidden_layers or len(first) != config.num_layers:
            raise MethodError(
                f"prefix tuning cannot reach every layer of this encoder ({network.config.model_type})",
                expected=f"{config.num_layers} attention layers of their own that use transformers' AttentionInterface",
                found=f"{len(calls)} calls on {len(first)} modules",
                fix="choose another method, or another encoder",
            )
        own = list(reversed(first.values()))
        for layer, (module, _, _) in enumerate(own):
            setattr(module, LAYER, layer)
        self.layers, self.heads = len(own), own[0][1].shape[1]
        self.prefix = PrefixEncoder(config)
        if not self.prefix.prefix_projection and not config.inference_mode:
            start = torch.stack([torch.stack([key[0], value[0]]) for _, key, value in own])  # (N, 2, H, V, D)
            flat = start.permute(3, 0, 1, 2, 4).reshape(start.shape[3], -1)
            rows = torch.arange(config.num_virtual_tokens) % flat.shape[0]
            if not flat.is_meta:
                self.prefix.embedding.weight.data.copy_(flat[rows])

    def tokens(self) -> Tensor:
        """The prefix as PEFT stores it, (V, N * 2 * H * D)."""
        weight = self.prefix.embedding.weight
        return self.prefix(torch.arange(weight.shape[0], device=weight.device))

    def load(self, tokens: Tensor) -> None:
        """Take over saved tokens (V, N * 2 * H * D)."""
        self.prefix.embedding.weight.data.copy_(tokens)

    def prepend(self, network: PreTrainedModel, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """The inputs with the prefix of all layers, (N, 2, H, V, D), for `modeling.kernels.attention`."""
        flat = self.tokens()
        prefix = flat.view(flat.shape[0], self.layers, 2, self.heads, -1).permute(1, 2, 3, 0, 4)
        return {**inputs, PREFIX: prefix}


class InputPrompt(nn.Module):
    """V learned embeddings before the input. The real tokens keep their positions: the prompt takes the encoder's last.

    Where positions are relative there is no last one, and moving all tokens changes nothing: the prompt is counted in.
    Segment ids of the prompt are 0, as the question's. The logits come back V longer; `SpanModel` crops them.
    """

    def __init__(self, config: PromptLearningConfig, network: PreTrainedModel) -> None:
        """MethodError if the prompt leaves the input no position."""
        from peft import PromptEmbedding, PromptEncoder, PromptTuningConfig

        super().__init__()
        self.positions, self.row = config.num_virtual_tokens, architecture_of(network)
        free = max_positions(network.config, self.row)
        if self.positions >= free:
            raise MethodError(
                "the virtual tokens leave no position for the input",
                where="length",
                expected=f"well below the encoder's {free} positions",
                found=str(self.positions),
                fix="fewer virtual tokens, or an encoder with more positions",
            )
        direct = isinstance(config, PromptTuningConfig)
        self.folded = direct or bool(config.inference_mode)
        self.prompt = PromptEmbedding(config, network.get_input_embeddings()) if direct else PromptEncoder(config)

    def tokens(self) -> Tensor:
        """The prompt's embeddings, (V, D_model)."""
        weight = self.prompt.embedding.weight
        if self.folded:
            return weight
        return self.prompt(torch.arange(weight.shape[0], device=weight.device)[None])[0]

    def load(self, tokens: Tensor) -> None:
        """Take over saved tokens (V, D_model), which already went through their network."""
        self.prompt.embedding.weight.data.copy_(tokens)

    def prepend(self, network: PreTrainedModel, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """Embeddings (B, V + L, D_model), mask, segment ids and position ids of prompt and input together."""
        ids = inputs["input_ids"]
        batch, length = ids.shape
        words = network.get_input_embeddings()(ids)
        prompt = self.tokens().to(words.dtype).expand(batch, -1, -1)
        made: dict[str, Any] = {
            "inputs_embeds": torch.cat([prompt, words], dim=1),
            "position_ids": self.position_ids(network, length, ids.device).expand(batch, -1),
        }
        for key, filler in (("attention_mask", 1), ("token_type_ids", 0)):
            if key in inputs:
                made[key] = torch.cat([inputs[key].new_full((batch, self.positions), filler), inputs[key]], dim=1)
        return made

    def position_ids(self, network: PreTrainedModel, length: int, device: torch.device) -> Tensor:
        """Positions (1, V + L): the last V of the encoder for the prompt, the usual ones for the input."""
        if self.row.positions == "relative":
            return torch.arange(self.positions + length, device=device)[None]
        last, first = network.config.max_position_embeddings, first_position(network.config, self.row)
        prompt = torch.arange(last - self.positions, last, device=device)
        return torch.cat([prompt, torch.arange(first, first + length, device=device)])[None]


def virtual_tokens(config: PromptLearningConfig, network: PreTrainedModel) -> DeepPrefix | InputPrompt:
    """The carrier of a prompt-learning configuration."""
    from peft import PeftType

    return (DeepPrefix if config.peft_type == PeftType.PREFIX_TUNING else InputPrompt)(config, network)
