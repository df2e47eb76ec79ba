"""What several rooms' tests share: tiny random encoders on disk, a tiny corpus, and a cache that is not the user's."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# `datasets` reads this once, when it is imported, and the command line's subprocesses inherit it.
_CACHE = tempfile.mkdtemp(prefix="spantune-tests-")
os.environ["HF_DATASETS_CACHE"] = _CACHE
sys.path.insert(0, str(Path(__file__).parent))  # tiny_encoders.py

from tiny_encoders import FAIRSEQ_FAMILIES, make_encoder, make_tokenizer  # noqa: E402

from spantune.data import Answer, Corpus, Example  # noqa: E402

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEXTS = (
    ("Who built the mill?", "Ada Moor built the old mill in 1841.", "Ada Moor"),
    ("When did the bridge fall?", "The stone bridge fell in March 1902.", "March 1902"),
    ("Where is the lamp?", "A green lamp stands near the river.", "near the river"),
    ("Who painted the door?", "Nobody knows why the door is blue.", None),
)


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
    return make_tokenizer(text for row in TEXTS for text in row[:2])


@pytest.fixture(scope="session")
def tiny_of(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Path]:
    """A folder with a random encoder of a family: width 32, 2 layers, 4 heads, inner width 64, 64 positions."""

    @cache
    def made(family: str) -> Path:
        fairseq = make_tokenizer((text for row in TEXTS for text in row[:2]), fairseq=True)
        tokenizer = fairseq if family in FAIRSEQ_FAMILIES else tiny_tokenizer
        return make_encoder(family, tmp_path_factory.mktemp(family), tokenizer)

    return made


@pytest.fixture(scope="session")
def tiny_bert(tiny_of: Callable[[str], Path]) -> Path:
    """A folder with a random BertModel."""
    return tiny_of("bert")


@pytest.fixture(scope="session")
def tiny_distilbert(tiny_of: Callable[[str], Path]) -> Path:
    """A folder with a random DistilBertModel of the same shape."""
    return tiny_of("distilbert")


@pytest.fixture(scope="session", params=["bert", "distilbert"])
def tiny_encoder(request: pytest.FixtureRequest, tiny_of: Callable[[str], Path]) -> Path:
    """Each of the two."""
    return tiny_of(request.param)
