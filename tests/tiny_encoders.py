"""Random encoders of some kilobytes, one of each family, and tokenizers over the tiny corpus' words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SEED = {"bert": 0, "distilbert": 1}
"""Of a family's weights; 2 for those that are not named."""
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,  # large, so that every part of a random encoder has a say in the logits
}
# What each family calls its sizes, or what makes its peculiarity show in two small layers.
OWN: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1},
    "camembert": {"type_vocab_size": 1},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "modernbert": {"intermediate_size": 48, "local_attention": 8, "global_attn_every_n_layers": 2},
    "mobilebert": {
        "embedding_size": 16,
        "intermediate_size": 32,
        "true_hidden_size": 16,
        "intra_bottleneck_size": 16,
        "num_feedforward_networks": 3,
    },
}
_NOT_DISTILBERTS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_BERTS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_FAIRSEQS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
FAIRSEQ_FAMILIES = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Their first token is 0 and padding is 1, and positions are counted from behind it."""


def make_tokenizer(texts: Iterable[str], *, fairseq: bool = False) -> PreTrainedTokenizerFast:
    """WordPiece over the words of the texts and all printable ASCII characters, with BERT's or RoBERTa's specials."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = _FAIRSEQS if fairseq else _BERTS
    keys = ("cls", "pad", "sep", "unk", "mask") if fairseq else ("pad", "unk", "cls", "sep", "mask")
    names = {f"{key}_token": one for key, one in zip(keys, specials, strict=True)}
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = " ".join(texts).lower().replace(".", "").replace("?", "").split()
    pieces = [*specials, *characters, *(f"##{one}" for one in characters), *words]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    first, last = names["cls_token"], names["sep_token"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}" if fairseq else f"{first}:0 $A:0 {last}:0 $B:1 {last}:1",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def make_encoder(family: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with a random encoder of the family (width 32, 2 layers, 4 heads, 64 positions) and the tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    sizes = {**SIZES, "vocab_size": len(tokenizer), **OWN.get(family, {})}
    for key in _NOT_DISTILBERTS if family == "distilbert" else ():
        del sizes[key]
    specials = {"pad": tokenizer.pad_token_id, "cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id}
    specials |= {"bos": specials["cls"], "eos": specials["sep"]}
    config = AutoConfig.for_model(family, **sizes, **{f"{key}_token_id": number for key, number in specials.items()})
    torch.manual_seed(SEED.get(family, 2))
    logging.disable_progress_bar()
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
