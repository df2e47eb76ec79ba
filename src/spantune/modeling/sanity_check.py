"""Tries an encoder of an unknown family before anything is trained on it: a few tokens, forward and backward.

Names of layers can be read off a network; whether its numbers can be trusted cannot. Some families pad to a block size,
need masks of their own or leave projections unused on short inputs: their scores would depend on the batch.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spantune.errors import EncoderError
from spantune.methods.architectures import LINEAR, Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS, _PADDING, _TOLERANCE = 12, 5, 1e-3


def require_sound(network: PreTrainedModel, row: Architecture) -> None:
    """EncoderError if an inspected network does not behave as an encoder for span extraction must."""
    try:
        problem = _problem(network, row)
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        problem = f"it cannot score a few plain tokens: {str(error).splitlines()[0] if str(error) else type(error)}"
    network.zero_grad()
    if problem:
        raise EncoderError(
            f"encoders of the family {row.model_type!r} are not in the table of architectures, and a trial failed",
            expected="scores of every token that see both sides, do not depend on padding and reach every layer",
            found=problem,
            fix="choose a family of the table (docs/methods.md)",
        )


def _problem(network: PreTrainedModel, row: Architecture) -> str | None:
    vocabulary = network.config.vocab_size
    ids = torch.arange(vocabulary // 2, vocabulary // 2 + _TOKENS).remainder(vocabulary)[None]
    padded = torch.nn.functional.pad(ids, (0, _PADDING), value=network.config.pad_token_id or 0)
    mask = (torch.arange(_TOKENS + _PADDING) < _TOKENS).long()[None]
    plain = _scores(network, ids, torch.ones_like(ids))
    if plain.shape != ids.shape:
        return f"scores of shape {tuple(plain.shape)} for {tuple(ids.shape)} tokens"
    scale = float(plain.detach().abs().max()) + 1e-6
    if (_scores(network, padded, mask)[:, :_TOKENS] - plain).abs().max() > _TOLERANCE * scale:
        return "padding changes the scores"
    other = ids.clone()
    other[:, -1] = int(ids[0, 0])
    if torch.allclose(_scores(network, other, torch.ones_like(ids))[:, 0], plain[:, 0], rtol=1e-6, atol=0):
        return "the first token does not see the last"
    plain.square().sum().backward()
    used = {name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
    for role in LINEAR:
        pattern = re.compile(row.pattern((role,)))
        if not any(pattern.fullmatch(name.removesuffix(".weight")) for name in used):
            return f"no gradient reaches the {role} layers"
    return None


def _scores(network: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """Start logits (B, L)."""
    scores: Tensor = network(input_ids=ids, attention_mask=mask).start_logits
    return scores
