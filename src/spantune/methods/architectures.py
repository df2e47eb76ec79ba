"""One table: how each encoder family calls its layers. Everything that targets a layer asks here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spantune.errors import EncoderError

Role = Literal["query", "key", "value", "attention_output", "ffn_in", "ffn_out"]
ATTENTION: tuple[Role, ...] = ("query", "key", "value", "attention_output")
LINEAR: tuple[Role, ...] = (*ATTENTION, "ffn_in", "ffn_out")
TARGETS: Mapping[str, tuple[Role, ...]] = {
    "query-value": ("query", "value"),
    "attention": ATTENTION,
    "linear": LINEAR,
    "key-value-ffn": ("key", "value", "ffn_out"),
}


@dataclass(frozen=True)
class Architecture:
    """Names inside one family (`config.model_type`) of `transformers`.

    `layer` is the list of layers as it ends in a module's name; the roles are paths inside one layer.
    """

    model_type: str
    layer: str
    query: str
    key: str
    value: str
    attention_output: str
    ffn_in: str
    ffn_out: str
    head: str = "qa_outputs"
    segment_ids: bool = True
    positions_from_padding: bool = False
    """Positions begin behind the padding index, as in fairseq's models."""
    embedding_size: str = "hidden_size"
    """The configuration's key for the width of the word embeddings."""

    def pattern(self, roles: tuple[Role, ...]) -> str:
        """Regular expression that matches the full module names of these roles and nothing else (PEFT's fullmatch)."""
        paths = "|".join(re.escape(getattr(self, role)) for role in roles)
        return rf".*\.{re.escape(self.layer)}\.\d+\.({paths})"


@dataclass(frozen=True)
class EncoderShape:
    """What a method must know of the encoder that it adapts: D width, layers, heads H and the family's names.

    `embedding_size` is the width of the word embeddings, which ELECTRA's smaller models widen to D afterwards.
    """

    architecture: Architecture
    hidden_size: int
    layers: int
    heads: int
    embedding_size: int


_BERT_LAYER: dict[str, Any] = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
}
_FAMILIES = (
    Architecture("bert", layer="encoder.layer", **_BERT_LAYER),
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
    # RoBERTa's one segment embedding tells nothing apart, so no segment ids travel.
    Architecture("roberta", layer="encoder.layer", **_BERT_LAYER, segment_ids=False, positions_from_padding=True),
    Architecture("xlm-roberta", layer="encoder.layer", **_BERT_LAYER, segment_ids=False, positions_from_padding=True),
    Architecture("camembert", layer="encoder.layer", **_BERT_LAYER, segment_ids=False, positions_from_padding=True),
    Architecture("electra", layer="encoder.layer", **_BERT_LAYER, embedding_size="embedding_size"),
)
ARCHITECTURES: Mapping[str, Architecture] = {family.model_type: family for family in _FAMILIES}


def architecture_of(model_type: str) -> Architecture:
    """The family's row; EncoderError where the table has none."""
    if model_type not in ARCHITECTURES:
        raise EncoderError(
            f"encoders of the family {model_type!r} are not in the table of architectures",
            expected=", ".join(sorted(ARCHITECTURES)),
            found=model_type,
            fix="choose one of these families, or add a row in methods/architectures.py",
        )
    return ARCHITECTURES[model_type]
