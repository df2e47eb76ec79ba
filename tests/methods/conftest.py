"""What the method contracts share: every method on both encoders, a batch, and a short training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spantune.config import WindowConfig
from spantune.data import Corpus
from spantune.features import Windows, make_windows, window_rules
from spantune.methods import methods

if TYPE_CHECKING:
    from torch import Tensor

    from spantune.modeling import SpanModel

# Small enough for the tiny encoders; everything else is the default.
SMALL: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4},
    "loha": {"rank": 4},
    "prefix-tuning": {"length": 5},
    "prompt-encoder": {"length": 5, "network_size": 24},
}
# Contracts must hold for these, too: weights that a network makes while training, and the other targets.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "prefix-tuning+projection": ("prefix-tuning", {"length": 5, "projection": True, "projection_size": 24}),
    "prompt-encoder+lstm": ("prompt-encoder", {"length": 5, "network": "lstm", "network_size": 12}),
    "lora+query-value": ("lora", {"rank": 4, "targets": "query-value"}),
}


@dataclass(frozen=True)
class Case:
    """A method with options on an encoder on disk."""

    method: str
    options: dict[str, Any]
    encoder: Path
    tokenizer: Any
    windows: Windows

    def build(self, **more: Any) -> SpanModel:
        from spantune.modeling import build

        return build(str(self.encoder), self.method, self.options, **more)

    def batch(self) -> dict[str, Tensor]:
        """All windows with labels."""
        from spantune.features.batches import training_batch

        return training_batch(self.windows.dataset[:], pad_token_id=0, which="all")

    def inputs(self) -> dict[str, Tensor]:
        """What the model's forward takes."""
        return {key: tensor for key, tensor in self.batch().items() if key not in ("starts", "ends", "allowed")}


def make_case(name: str, encoder: Path, corpus: Corpus, tokenizer: Any) -> Case:
    method, options = VARIANTS.get(name, (name, SMALL.get(name, {})))
    segments = encoder.name.startswith("bert")
    rules = window_rules(WindowConfig(32, 8), tokenizer, longest=64 - 5, segment_ids=segments)
    return Case(method, options, encoder, tokenizer, make_windows(corpus, tokenizer, rules, cache=False))


@pytest.fixture(params=[*methods(), *VARIANTS])
def case(request: pytest.FixtureRequest, tiny_encoder: Path, tiny_corpus: Corpus, tiny_tokenizer: Any) -> Case:
    """Every method, and variants of some, on both encoders."""
    return make_case(request.param, tiny_encoder, tiny_corpus, tiny_tokenizer)


@pytest.fixture
def case_of(tiny_encoder: Path, tiny_corpus: Corpus, tiny_tokenizer: Any) -> Callable[[str], Case]:
    """Makes a case of a method or variant, on each of both encoders."""
    return lambda name: make_case(name, tiny_encoder, tiny_corpus, tiny_tokenizer)


@pytest.fixture
def on_bert(tiny_bert: Path, tiny_corpus: Corpus, tiny_tokenizer: Any) -> Callable[[str], Case]:
    """Makes a case on the tiny BERT alone."""
    return lambda name: make_case(name, tiny_bert, tiny_corpus, tiny_tokenizer)
