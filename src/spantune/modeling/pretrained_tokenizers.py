"""The tokenizers of pretrained encoders: loaded, checked against the encoder, and told apart."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

from spantune.config import BUNDLED
from spantune.errors import EncoderError
from spantune.modeling.encoders import explained, pretrained_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

_SPECIAL_TOKENS = ("sep_token", "eos_token", "unk_token", "cls_token", "bos_token")
# What normalisers and splits treat differently: case, accents, marks, scripts with and without blanks, digits, marks of
# several code points, invisible characters, white space.
_PROBE = (
    " The  Ångström\u00a0café cafe\u0301 İSTANBUL straße ﬁne Ⅷ ½ x² 1,841.50 $5 e-mail@x.org it's state-of-the-art "
    "don\u2019t “quoted”\u2014so… \t नदी हिन्दी مَرْحَبًا שָׁלוֹם Łódź река Αθήνα ﾊﾝｶｸ 川の水車 한국어 แม่น้ำ 1\ufe0f\u20e3 "
    "\U0001f469\u200d\U0001f467 \U0001f642 \u200b\u00ad\ufeff\x07 _x_ #a \r\n end "
)


def pretrained_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The encoder's tokenizer: fast (offsets are needed), padding and cutting on the right, with a pad token.

    Raises:
        EncoderError: it is a slow one, has no vocabulary, or knows tokens for which the encoder has no embedding.
    """
    from transformers import AutoTokenizer

    with explained(name, "tokenizer") as place:
        tokenizer: Any = AutoTokenizer.from_pretrained(place, use_fast=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise EncoderError(
            f"the tokenizer of {name!r} is a slow one and gives no character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            found=f"{type(tokenizer).__name__}, for which transformers has no fast one",
            fix=f"choose an encoder with a fast tokenizer, or the bundled one: {BUNDLED}",
        )
    config = pretrained_config(name)
    _require_vocabulary(tokenizer, name, config.vocab_size)
    _ensure_pad_token(tokenizer, name, config)
    tokenizer.padding_side = tokenizer.truncation_side = "right"  # windows run from the context's beginning to its end
    return tokenizer


def _require_vocabulary(tokenizer: Any, name: str, rows: int) -> None:
    """If the files are missing, transformers silently makes a tokenizer to which every word is unknown."""
    vocabulary = tokenizer.get_vocab()
    if not vocabulary.keys() - set(tokenizer.all_special_tokens):
        raise EncoderError(
            f"the tokenizer of {name!r} has no vocabulary",
            expected="tokenizer.json, or the files that the family's tokenizer is made from (vocab.txt and the like)",
            found=f"{type(tokenizer).__name__} with {len(tokenizer)} special tokens and no word",
            fix="put the tokenizer's files beside the weights",
        )
    if tokenizer.vocab_size > rows:
        raise EncoderError(
            f"the tokenizer of {name!r} belongs to another encoder",
            expected=f"at most {rows} tokens, as the encoder has embeddings",
            found=f"{tokenizer.vocab_size} tokens",
            fix="put the tokenizer's own files beside the weights",
        )
    beyond = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    if beyond:
        raise EncoderError(
            f"the tokenizer of {name!r} has added tokens for which the encoder has no embeddings",
            expected=f"token numbers below {rows}, the rows of the embedding",
            found=f"{len(beyond)} above, first {beyond[0][1]!r} with number {beyond[0][0]}",
            fix="model.resize_token_embeddings(len(tokenizer)) and model.save_pretrained, before spantune; or take the "
            "added tokens out of tokenizer.json",
        )


def _ensure_pad_token(tokenizer: Any, name: str, config: PretrainedConfig) -> None:
    """Choose a pad token if there is none, and say so; it is masked, so any token will do."""
    if tokenizer.pad_token_id is not None:
        return
    by_number = {number: token for token, number in tokenizer.get_vocab().items()}
    candidates = [by_number.get(config.pad_token_id), *(getattr(tokenizer, each, None) for each in _SPECIAL_TOKENS)]
    chosen = next((token for token in candidates if token is not None), None)
    if chosen is None:
        raise EncoderError(
            f"the tokenizer of {name!r} has no pad token",
            expected="a pad token, or any special token that can take its place",
            found="no special token at all",
            fix='tokenizer.pad_token = "[PAD]" (a token of its vocabulary) and tokenizer.save_pretrained',
        )
    tokenizer.pad_token = chosen
    note = f"the tokenizer of {name!r} has no pad token: {chosen!r} takes its place (it is masked)"
    warnings.warn(note, stacklevel=3)


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """A digest that tells tokenizers apart: vocabulary, merges, special tokens, and what they make of a probe text.

    The normaliser and the splits go in by what they do, so that another release that writes them differently into
    tokenizer.json gives the same digest.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # the backend keeps the settings of the last call
    backend.no_padding()
    model = json.loads(backend.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges") or ()]
    special = [str(getattr(tokenizer, name, None)) for name in _SPECIAL_TOKENS]
    normalizer = backend.normalizer
    parts = [
        sorted(tokenizer.get_vocab().items(), key=lambda entry: (entry[1], entry[0])),
        merges,
        special,
        normalizer.normalize_str(_PROBE) if normalizer is not None else _PROBE,
        backend.encode(_PROBE, _PROBE.swapcase()).ids,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
