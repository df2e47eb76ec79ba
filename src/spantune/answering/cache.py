"""The folder of cached windows, and the digest that identifies a tokenizer in its cache keys."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def cache_folder() -> Path:
    """The folder of spantune inside the cache of `datasets`."""
    from datasets import config

    folder = Path(config.HF_DATASETS_CACHE) / "spantune"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """A digest of everything that decides its tokens: tokenizers with the same digest give the same tokens."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # the backend keeps the settings of the last call
    backend.no_padding()
    besides = (tokenizer.truncation_side, tokenizer.split_special_tokens, tokenizer.pad_token_id)
    return hashlib.sha256(f"{besides}{backend.to_str()}".encode()).hexdigest()


def library_versions() -> tuple[str, str]:
    """The releases that cut the windows: what one cuts wrongly must not be read after it is replaced."""
    import tokenizers
    import transformers

    return tokenizers.__version__, transformers.__version__
