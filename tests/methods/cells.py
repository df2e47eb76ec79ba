"""The table that the contract runs over: every method, and variants of some, on every encoder family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.answering.window_rules import window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import WindowConfig
from spantune.data import Corpus
from spantune.errors import MethodError, UserError
from spantune.methods import methods
from spantune.methods.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from torch import Tensor

    from spantune.modeling import SpanModel

# Small enough for the tiny encoders; everything else is the default.
SMALL: dict[str, dict[str, Any]] = {
    "top-layers": {"layers": 1},
    **{name: {"rank": 4} for name in ("lora", "rslora", "dora", "pissa", "loha", "miss", "hra")},
    "adalora": {"rank": 2, "start_rank": 4},
    "lokr": {"rank": 2},
    "delora": {"rank": 4, "strength": 1},
    "vera": {"rank": 8},
    "oft": {"block_size": 8},
    "fourierft": {"frequencies": 50},
    "bottleneck": {"size": 4},
    "prefix-tuning": {"length": 5},
    "prompt-encoder": {"length": 5, "network_size": 24},
    "prompt-tuning": {"length": 5},
}
# Contracts must hold for these, too: weights that a network makes while training, and the other choices.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "top-layers+two": ("top-layers", {"layers": 2}),
    "lora+query-value": ("lora", {"rank": 4, "targets": "query-value"}),
    "bottleneck+pfeiffer": ("bottleneck", {"size": 4, "placement": "pfeiffer", "activation": "relu"}),
    "prefix-tuning+projection": ("prefix-tuning", {"length": 5, "projection": True, "projection_size": 24}),
    "prompt-encoder+lstm": ("prompt-encoder", {"length": 5, "network": "lstm", "network_size": 12}),
}
NAMES = (*methods(), *VARIANTS)
_UNREACHED = r"prefix tuning cannot reach every layer of this encoder \({}\)"
# Every cell that is not supported, with its error. All others must work; these must not.
REFUSED: dict[tuple[str, str], tuple[type[UserError], str]] = {
    ("bitfit", "modernbert"): (MethodError, r"BitFit finds nothing to train in this encoder \(modernbert\)"),
    ("top-layers+two", "albert"): (MethodError, r"\(albert\) has fewer layers of its own"),
    **{
        (name, family): (MethodError, _UNREACHED.format(family))
        for name in ("prefix-tuning", "prefix-tuning+projection")
        for family in ("mpnet", "deberta-v2")
    },
}
# The families of each file `test_contract_NAME.py`: files are what the two workers of `make test` share out.
SHARES: dict[str, tuple[str, ...]] = {
    "bert": ("bert", "distilbert"),
    "roberta": ("roberta", "xlm-roberta", "camembert"),
    "electra": ("electra", "albert"),
    "own_attention": ("mpnet", "deberta-v2"),
    "newer": ("modernbert", "mobilebert"),
}
# Where segment ids tell question and context apart, said once more and independently of the product's own table.
WITH_SEGMENTS = frozenset({"bert", "electra", "albert", "mobilebert"})


def product(*families: str) -> Iterator[tuple[str, str]]:
    """(method or variant, family) for all methods on these families, or on all."""
    return ((name, family) for family in families or ARCHITECTURES for name in NAMES)


# RoBERTa's classes under another name: in `make test` only what depends on the name, the positions, is tried there.
TWINS = ("xlm-roberta", "camembert")
# PEFT injects most of these alike, the rest choose by name: in `make test` each is tried on BERT alone.
KIN = (
    *("adalora", "delora", "dora", "fourierft", "hra", "loha", "lokr"),
    *("miss", "oft", "pissa", "road", "rslora", "vera"),
    *("head-only", "bitfit", "layernorm", "top-layers", "prompt-tuning", "full"),
)
SIX = ("full", "ia3", "lora", "loha", "prefix-tuning", "prompt-encoder")


# Built from BERT's own layers: in `make test` LoRA stands for what reaches them, the prompt for the positions.
LIKE_BERT = ("roberta", "electra")


def in_short(name: str, family: str) -> bool:
    """Whether a cell is in `make test`, too, and not in `make test-all` alone."""
    if family in TWINS:
        return name == "prompt-encoder"
    if family in LIKE_BERT:
        return name in ("lora", "prompt-encoder")
    return family == "bert" or name not in (*KIN, *VARIANTS)


def long_in_short(name: str, family: str) -> bool:
    """The same for what takes longer: kinds of methods on BERT; elsewhere a product in each layer, or a new layer."""
    if family == "bert":
        return name in (*SIX, "bottleneck")
    return family not in TWINS and name == ("loha", "bottleneck")[list(ARCHITECTURES).index(family) % 2]


def costs_in_short(name: str, family: str) -> bool:
    """The same for the costs: of each kind of product on BERT, and where the layers lie otherwise."""
    return (family == "bert" and name in COSTS_SHORT) or (name, family) in COSTS_DIFFER


# Their products are LoRA's or none, or those of another method here.
COSTS_ALIKE = (
    *("rslora", "miss", "delora", "fourierft", "pissa", "lokr", "road"),
    *("bitfit", "layernorm", "top-layers", "prompt-tuning", "lora+query-value", "bottleneck+pfeiffer"),
)
COSTS_SHORT = ("lora", "loha", "vera", "oft", "hra", "bottleneck", "prefix-tuning", "prompt-encoder")
# Where the layers of an encoder lie otherwise than in BERT, with a method of each kind of file.
COSTS_DIFFER = {
    *(("lora", family) for family in ("albert", "deberta-v2", "modernbert", "mobilebert")),
    *(("prompt-encoder", family) for family in ("roberta", "deberta-v2", "modernbert")),
    *(("full", "albert"), ("vera", "modernbert"), ("bottleneck", "mobilebert")),
}


def has_costs_of_its_own(name: str, family: str) -> bool:
    """Counting products takes as long as all other promises."""
    return (family == "bert" and name not in COSTS_ALIKE) or (name, family) in COSTS_DIFFER


@dataclass(frozen=True)
class Encoder:
    """A random encoder on disk with the tiny corpus' windows."""

    family: str
    folder: Path
    tokenizer: Any
    windows: Windows

    @cached_property
    def batch(self) -> dict[str, Tensor]:
        """All windows with labels."""
        from spantune.answering.batches import training_batch

        return training_batch(self.windows.dataset[:], pad_token_id=self.tokenizer.pad_token_id, which="all")

    @property
    def inputs(self) -> dict[str, Tensor]:
        """What the model's forward takes."""
        return {key: tensor for key, tensor in self.batch.items() if key not in ("starts", "ends", "allowed")}

    @cached_property
    def plain(self) -> SpanModel:
        """With an untrained head and no method, to compare with."""
        from spantune.modeling import build

        return build(str(self.folder), "head-only")


def make_encoder_case(family: str, folder: Path, corpus: Corpus) -> Encoder:
    from spantune.modeling import load_tokenizer

    tokenizer = load_tokenizer(str(folder))
    rules = window_rules(WindowConfig(32, 8), tokenizer, longest=62 - 5, segment_ids=family in WITH_SEGMENTS)
    return Encoder(family, folder, tokenizer, make_windows(corpus, tokenizer, rules, cache=False))


@dataclass(frozen=True)
class Cell:
    """A method, or a variant of one, on an encoder."""

    name: str
    encoder: Encoder

    @property
    def method(self) -> str:
        return VARIANTS.get(self.name, (self.name,))[0]

    @property
    def options(self) -> dict[str, Any]:
        return VARIANTS[self.name][1] if self.name in VARIANTS else SMALL.get(self.name, {})

    @property
    def model(self) -> str:
        """The encoder's name for `build`."""
        return str(self.encoder.folder)

    @property
    def inputs(self) -> dict[str, Tensor]:
        return self.encoder.inputs

    def build(self, **more: Any) -> SpanModel:
        from spantune.modeling import build

        return build(self.model, self.method, self.options, **more)
