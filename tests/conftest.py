"""What several rooms' tests share: tiny random encoders on disk, a tiny corpus, and a cache that is not the user's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# `datasets` reads this once, when it is imported, and the command line's subprocesses inherit it.
_CACHE = tempfile.mkdtemp(prefix="spantune-tests-")
os.environ["HF_DATASETS_CACHE"] = _CACHE

from spantune.data import Answer, Corpus, Example  # noqa: E402

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEXTS = (
    ("Who built the mill?", "Ada Moor built the old mill in 1841.", "Ada Moor"),
    ("When did the bridge fall?", "The stone bridge fell in March 1902.", "March 1902"),
    ("Where is the lamp?", "A green lamp stands near the river.", "near the river"),
    ("Who painted the door?", "Nobody knows why the door is blue.", None),
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def pytest_unconfigure() -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_corpus() -> Corpus:
    """Three questions with an answer, one without."""
    examples = [
        Example(str(row), question, context, (Answer(text, context.index(text)),) if text else ())
        for row, (question, context, text) in enumerate(TEXTS)
    ]
    return Corpus.of(examples, "tiny")


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece in BERT's manner over the tiny corpus' words and all printable ASCII characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = " ".join(text for row in TEXTS for text in row[:2]).lower().replace(".", "").replace("?", "").split()
    pieces = [*SPECIAL, *characters, *(f"##{one}" for one in characters), *words]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with a random BertModel: width 32, 2 layers, 4 heads, inner width 64, 64 positions."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    return _saved(BertModel(config, add_pooling_layer=False), tiny_tokenizer, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def tiny_distilbert(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with a random DistilBertModel of the same shape."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(1)
    config = DistilBertConfig(
        vocab_size=len(tiny_tokenizer),
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    return _saved(DistilBertModel(config), tiny_tokenizer, tmp_path_factory.mktemp("distilbert"))


@pytest.fixture(scope="session", params=["bert", "distilbert"])
def tiny_encoder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Each of the two."""
    yield request.getfixturevalue(f"tiny_{request.param}")


def _saved(encoder, tokenizer, folder: Path) -> Path:  # type: ignore[no-untyped-def]
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
