"""The lengths of windows, checked against an encoder and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spantune.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from spantune.config import WindowConfig

_SHORTEST_QUESTION = 8


@dataclass(frozen=True)
class WindowRules:
    """Lengths in tokens that hold for one tokenizer.

    Attributes:
        max_length: of a window. doc_stride: context tokens that neighbours share.
        max_question: longest question that is kept whole.
        segment_ids: whether the encoder wants them.
    """

    max_length: int
    doc_stride: int
    max_question: int
    segment_ids: bool


def window_rules(
    config: WindowConfig, tokenizer: PreTrainedTokenizerFast, *, longest: int, segment_ids: bool
) -> WindowRules:
    """Check the lengths against the encoder (`longest` window in tokens, virtual tokens already taken off).

    Raises:
        ConfigError: windows longer than the encoder's positions, or no room for a question: in these positions, in the
            windows, or beside the stride.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    shortest = 2 * _SHORTEST_QUESTION + special
    if longest < shortest:
        raise ConfigError(
            "the encoder's positions leave no room for a question and its context",
            expected=f"at least {shortest} positions for each window",
            found=f"{longest} (its positions, less those of virtual tokens)",
            fix="fewer virtual tokens, or an encoder with more positions",
        )
    if config.max_length > longest:
        raise ConfigError(
            f"windows of {config.max_length} tokens do not fit into the encoder",
            expected=f"max-length of at most {longest} (its positions, less those of virtual tokens)",
            found=f"max-length {config.max_length}",
            fix=f"--max-length {longest}",
        )
    room = config.max_length - special
    max_question = min(room // 2, room - config.doc_stride - 1)
    if room < 2 * _SHORTEST_QUESTION:
        raise ConfigError(
            f"windows of {config.max_length} tokens hold no question and its context",
            expected=f"max-length of at least {shortest}",
            found=f"max-length {config.max_length}",
            fix=f"--max-length {min(384, longest)}",
        )
    if max_question < _SHORTEST_QUESTION:
        raise ConfigError(
            f"a stride of {config.doc_stride} leaves no room in windows of {config.max_length} tokens",
            expected=f"doc-stride of at most {room - 1 - _SHORTEST_QUESTION}: each window must hold the shared context "
            f"tokens, one new one and a question",
            found=f"doc-stride {config.doc_stride}",
            fix=f"--doc-stride {min(config.max_length // 3, room - 1 - _SHORTEST_QUESTION)}",
        )
    return WindowRules(config.max_length, config.doc_stride, max_question, segment_ids)
