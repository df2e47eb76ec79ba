"""One table: how each encoder family calls its layers. Everything that targets a layer asks here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

Role = Literal["query", "key", "value", "attention_output", "ffn_in", "ffn_out"]
LINEAR: tuple[Role, ...] = get_args(Role)
ATTENTION: tuple[Role, ...] = ("query", "key", "value", "attention_output")
TARGETS: Mapping[str, tuple[Role, ...]] = {
    "query-value": ("query", "value"),
    "attention": ATTENTION,
    "linear": LINEAR,
}
Positions = Literal["absolute", "after-padding", "relative"]
"""How tokens are numbered. `after-padding`: learned, from the padding index + 1 on, as in fairseq's models;
`relative`: only differences count."""


@dataclass(frozen=True)
class Architecture:
    """Names inside one family (`config.model_type`) of `transformers`.

    `layer` is the list of layers as it ends in a module's name. The roles are paths inside one layer: `*` is a
    number, `|` between two paths for both. Where one module makes queries, keys and values, all three roles name it.
    """

    model_type: str
    layer: str
    query: str
    key: str
    value: str
    attention_output: str
    ffn_in: str
    ffn_out: str
    heads: tuple[str, ...] = ("qa_outputs",)
    """Modules with weights that score the tokens; they always learn and are saved with every adapter."""
    segment_ids: bool = True
    """The family tells question and context apart by segment ids, where its configuration has two segments."""
    positions: Positions = "absolute"
    note: str = ""
    """What a user of the family should know."""

    def pattern(self, roles: tuple[Role, ...]) -> str:
        """Regular expression that matches the full module names of these roles and nothing else (PEFT's fullmatch)."""
        paths = [path for role in roles for path in getattr(self, role).split("|")]
        return self.at(dict.fromkeys(paths))

    def at(self, paths: Iterable[str]) -> str:
        """Regular expression of the modules at these paths in any layer, where `*` is a number."""
        return self.inside_layers("|".join(re.escape(path).replace(r"\*", r"\d+") for path in paths))

    def inside_layers(self, paths: str, layers: str = r"\d+") -> str:
        """Regular expression of the modules at `paths` (a regular expression, too) in the layers of these numbers."""
        return rf".*\.{re.escape(self.layer)}\.({layers})\.({paths})"

    def is_head(self, parameter: str) -> bool:
        """Whether a parameter or module of this full name (in the unadapted network) belongs to the span head."""
        return parameter.startswith(tuple(f"{head}." for head in self.heads))

    @property
    def fused(self) -> bool:
        """One module makes queries, keys and values."""
        return self.query == self.key == self.value


@dataclass(frozen=True)
class EncoderShape:
    """What a method must know of the encoder that it adapts: D width, layers, heads H and the family's names.

    Attributes:
        layers: layers with weights of their own (ALBERT uses one several times).
        embedding_size: width of the word embeddings, which some families widen to D afterwards.
        attention_size: H times a head's width; less than D in MobileBERT.
        linears: linear modules of one layer by path, numbers in it as `*`, with (inputs, outputs).
    """

    architecture: Architecture
    hidden_size: int
    layers: int
    heads: int
    embedding_size: int
    attention_size: int
    linears: Mapping[str, tuple[int, int]]


_BERT = Architecture(
    "bert",
    layer="encoder.layer",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    ffn_in="intermediate.dense",
    ffn_out="output.dense",
)
# RoBERTa's one segment embedding tells nothing apart, so no segment ids travel.
_ROBERTA = replace(_BERT, model_type="roberta", segment_ids=False, positions="after-padding")
_FAMILIES = (
    _BERT,
    Architecture(
        "distilbert",
        layer="transformer.layer",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        ffn_in="ffn.lin1",
        ffn_out="ffn.lin2",
        segment_ids=False,
    ),
    _ROBERTA,
    replace(_ROBERTA, model_type="xlm-roberta"),
    replace(_ROBERTA, model_type="camembert"),
    replace(_BERT, model_type="electra"),
    Architecture(
        "albert",
        layer="albert_layers",
        query="attention.query",
        key="attention.key",
        value="attention.value",
        attention_output="attention.dense",
        ffn_in="ffn",
        ffn_out="ffn_output",
        note="one layer is used for all depths, so an adapter is, too",
    ),
    replace(
        _ROBERTA,
        model_type="mpnet",
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attention_output="attention.attn.o",
    ),
    replace(
        _BERT,
        model_type="deberta-v2",
        query="attention.self.query_proj",
        key="attention.self.key_proj",
        value="attention.self.value_proj",
        note="also DeBERTa-v3; published weights have no learned positions and no segments, so no segment ids travel",
    ),
    Architecture(
        "modernbert",
        layer="layers",
        query="attn.Wqkv",
        key="attn.Wqkv",
        value="attn.Wqkv",
        attention_output="attn.Wo",
        ffn_in="mlp.Wi",
        ffn_out="mlp.Wo",
        heads=("head.dense", "head.norm", "classifier"),
        segment_ids=False,
        positions="relative",
        note="one module makes queries, keys and values: what targets one of them adapts all three",
    ),
    replace(
        _BERT,
        model_type="mobilebert",
        ffn_in="intermediate.dense|ffn.*.intermediate.dense",
        ffn_out="output.dense|ffn.*.output.dense",
        note="a token's embedding looks at its neighbours, so the last token of a window sees the padding",
    ),
)
ARCHITECTURES: Mapping[str, Architecture] = {family.model_type: family for family in _FAMILIES}
