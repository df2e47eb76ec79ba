"""What several rooms' tests share: tiny random encoders on disk, a tiny corpus, and a cache that is not the user's."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# `datasets` reads this once, when it is imported, and the command line's subprocesses inherit it.
_CACHE = tempfile.mkdtemp(prefix="spantune-tests-")
os.environ.pop("MLFLOW_TRACKING_URI", None)  # a user's own server sees no test
os.environ["HF_DATASETS_CACHE"] = _CACHE
# Threads that wait sleep: spinning, they take half of the CPU seconds of a test with two of them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_CHECKOUT / "tests"))  # tiny.py and tiny_encoders.py

# Once for all rooms: a fixture that several rooms import is made once for each of them.
from tiny import bert, config, dev_file, finished, finished_v2, settings, shared, train_file  # noqa: E402, F401
from tiny_encoders import FAIRSEQ_FAMILIES, make_encoder, make_tokenizer  # noqa: E402

from spantune.data import Answer, Corpus, Example  # noqa: E402
from spantune.runs import environment  # noqa: E402

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEXTS = (
    ("Who built the mill?", "Ada Moor built the old mill in 1841.", "Ada Moor"),
    ("When did the bridge fall?", "The stone bridge fell in March 1902.", "March 1902"),
    ("Where is the lamp?", "A green lamp stands near the river.", "near the river"),
    ("Who painted the door?", "Nobody knows why the door is blue.", None),
)


def pytest_configure(config: pytest.Config) -> None:  # noqa: F811
    """In `make test`, properties without a number of their own are tried on 20 examples instead of 100."""
    if "not exhaustive" in config.option.markexpr:
        hypothesis.settings.register_profile("short", max_examples=20)
        hypothesis.settings.load_profile("short")


_frozen = 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Keep imported modules out of the garbage collector's sight: each training asks for a whole pass over them."""
    global _frozen
    if len(sys.modules) > _frozen + 200:
        gc.collect()
        gc.freeze()
        _frozen = len(sys.modules)


@pytest.fixture(scope="session", autouse=True)
def no_waiting() -> Iterator[None]:
    """Each run waits ten times until its files are safe, though no test pulls the plug, and twice for Git."""
    asked = environment._git
    known = cache(asked)

    def git(root: Path, *words: str) -> str | None:
        return known(root, *words) if root == _CHECKOUT else asked(root, *words)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: None)
        patched.setattr(environment, "_git", git)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_arithmetic() -> Iterator[None]:
    """`precision: auto` is fp32, whatever the processor; SPANTUNE_TEST_PRECISION=bf16 makes it bf16 on any (slowly)."""
    bf16 = os.environ.get("SPANTUNE_TEST_PRECISION", "fp32") == "bf16"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("spantune.modeling.devices._cpu_multiplies_bf16", lambda: bf16)
        yield


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


@pytest.fixture(scope="session", params=["bert", pytest.param("distilbert", marks=pytest.mark.exhaustive)])
def tiny_encoder(request: pytest.FixtureRequest, tiny_of: Callable[[str], Path]) -> Path:
    """Each of the two."""
    return tiny_of(request.param)
