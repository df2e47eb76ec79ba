"""Tokenizers of every common build over words of a dozen scripts: what people's encoders come with."""

from __future__ import annotations

import string
from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

WORDS = (
    *("Ada", "built", "the", "old", "mill", "number", "in", "Rotterdam", "1841", "(77)", "$5", "it's", "e\u0301tude"),
    *("café", "Łódź", "straße", "İzmir", "река", "мельница", "Αθήνα", "ποτάμι", "مَدْرَسَة", "كتاب", "שָׁלוֹם", "נהר"),
    *(
        "नदी",
        "राम",
        "हिन्दी",
        "தமிழ்",
        "ஆறு",
        "แม่น้ำ",
        "โรงสี",
        "河流",
        "磨坊",
        "川の水車",
        "ワード",
        "한국어",
        "강물",
        "1️⃣",
        "👩‍👩‍👧",
        "🙂",
    ),
)
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
_UNKNOWN = 1


def _trained(model: Any, trainer: Any, normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    backend = Tokenizer(model)
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizer
    texts = [" ".join(WORDS[at : at + 6]) for at in range(len(WORDS))] * 2
    backend.train_from_iterator(texts, trainer)
    return backend


def _word_piece(lowercase: bool) -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, show_progress=False)
    return _trained(
        models.WordPiece(unk_token="<unk>"),
        trainer,
        normalizers.BertNormalizer(lowercase=lowercase),
        pre_tokenizers.BertPreTokenizer(),
    )


def _byte_level(*parts: Any, prefix: bool) -> Tokenizer:
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    splits = [level if part is None else part for part in parts]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    return _trained(models.BPE(), trainer, None, pre_tokenizers.Sequence(splits))


def _unigram(normalizer: Any, scheme: Any) -> Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=260, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    return _trained(models.Unigram(), trainer, normalizer, pre_tokenizers.Metaspace(prepend_scheme=scheme))


def _regex_bytes() -> Tokenizer:
    """As ModernBERT: words by a pattern, then bytes; blanks are in the offsets."""
    pattern = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    splits = pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "isolated"), level])
    return _trained(models.BPE(), trainer, normalizers.NFC(), splits)


def _byte_fallback() -> Tokenizer:
    """As Llama and Gemma: a character that is not in the vocabulary is the tokens of its bytes."""
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *string.ascii_letters, *string.digits]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return backend


def _without_marks() -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, show_progress=False)
    marks = [normalizers.NFKD(), normalizers.Replace(Regex(r"\p{M}"), ""), normalizers.Lowercase()]
    splits = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("removed")]
    return _trained(
        models.WordPiece(unk_token="<unk>"), trainer, normalizers.Sequence(marks), pre_tokenizers.Sequence(splits)
    )


def _word_level() -> Tokenizer:
    trainer = trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False)
    return _trained(models.WordLevel(unk_token="<unk>"), trainer, None, pre_tokenizers.WhitespaceSplit())


def _strip_accents() -> Any:
    return normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])


_BUILDS: dict[str, tuple[Any, str]] = {
    "WordPiece cased": (lambda: _word_piece(False), "template"),
    "WordPiece uncased": (lambda: _word_piece(True), "template"),
    "byte-level": (lambda: _byte_level(None, prefix=False), "roberta"),
    "byte-level, prefix blank": (lambda: _byte_level(None, prefix=True), "roberta, prefix"),
    "words, then byte-level with a prefix blank": (
        lambda: _byte_level(pre_tokenizers.Whitespace(), None, pre_tokenizers.Punctuation(), prefix=True),
        "roberta, prefix",
    ),
    "split at white space, then byte-level": (
        lambda: _byte_level(pre_tokenizers.WhitespaceSplit(), None, prefix=True),
        "roberta, prefix",
    ),
    "Unigram without accents": (lambda: _unigram(_strip_accents(), "always"), "template"),
    "Unigram, NFKC": (lambda: _unigram(normalizers.NFKC(), "always"), "template"),
    "Unigram, first blank": (lambda: _unigram(normalizers.NFC(), "first"), "template"),
    "Unigram, no blank": (lambda: _unigram(None, "never"), "template"),
    "whole words": (_word_level, "template"),
    "pattern, then byte-level": (_regex_bytes, "template"),
    "bytes of unknown characters": (_byte_fallback, "template"),
    "WordPiece without marks and punctuation": (_without_marks, "template"),
}
BUILDS = tuple(_BUILDS)


@cache
def tokenizer_of(build: str) -> PreTrainedTokenizerFast:
    """One of `BUILDS`."""
    make, ends = _BUILDS[build]
    backend = make()
    if ends == "template":
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 2), ("</s>", 3)]
        )
    else:
        backend.post_processor = processors.RobertaProcessing(
            ("</s>", 3), ("<s>", 2), trim_offsets=True, add_prefix_space="prefix" in ends
        )
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)
