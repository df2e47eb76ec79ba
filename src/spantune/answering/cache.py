"""The cache: files that can be made again, each named with its digest; and the digest of a tokenizer in their names."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from spantune.runs.atomic_files import TEMPORARY
from spantune.runs.digests import sha256_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


_DIGITS = 32


def cache_folder() -> Path:
    """The folder of spantune inside the cache of `datasets`."""
    from datasets import config

    folder = Path(config.HF_DATASETS_CACHE) / "spantune"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept(name: str, ending: str) -> Path | None:
    """The whole file that `keep` kept under this name; None if there is none. A damaged one is said and removed.

    Raises:
        OSError: the cache cannot be read.
    """
    for path in sorted(cache_folder().glob(f"{name}-*{ending}")):
        if path.name == f"{name}-{sha256_of(path)[:_DIGITS]}{ending}":
            return path
        warnings.warn(f"a file of the cache is damaged and is made again: {path}", stacklevel=2)
        path.unlink()
    return None


@contextmanager
def making(ending: str) -> Iterator[Path]:
    """A path in the cache for a file that is being made; what has not been kept by the end is removed."""
    path = cache_folder() / f"{TEMPORARY}{uuid4().hex}{ending}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def keep(made: Path, name: str, ending: str) -> Path:
    """Give a file that has been made its name, which holds its digest: so a file and its digest appear at once."""
    return made.rename(cache_folder() / f"{name}-{sha256_of(made)[:_DIGITS]}{ending}")


def not_cached(what: str, error: Exception) -> None:
    """Say that the cache cannot be used, which costs time alone."""
    reason = " ".join(str(error).split()) or type(error).__name__
    warnings.warn(f"{what} cannot be kept for the next run: {reason}", stacklevel=3)


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
