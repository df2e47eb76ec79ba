"""Where what can be made again is kept, and what a tokenizer is told by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def cache_folder() -> Path:
    """Our part of the folder in which `datasets` keeps what it has made."""
    from datasets import config

    folder = Path(config.HF_DATASETS_CACHE) / "spantune"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """What decides the tokens that it makes of a text: two with the same digest make the same."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # what was asked for last leaves its traces in the backend
    backend.no_padding()
    besides = (tokenizer.truncation_side, tokenizer.split_special_tokens, tokenizer.pad_token_id)
    return hashlib.sha256(f"{besides}{backend.to_str()}".encode()).hexdigest()
