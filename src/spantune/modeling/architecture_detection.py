"""What a network looks like inside: its row in the table of architectures, or one from inspection, and its shape."""

from __future__ import annotations

import re
import warnings
from inspect import signature
from typing import TYPE_CHECKING, Any

from torch import nn

from spantune.errors import EncoderError
from spantune.methods.architectures import ARCHITECTURES, LINEAR, Architecture, EncoderShape, Positions, Role

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# How the models of transformers call these layers, at the end of a path inside one layer.
_FUSED = r"(.*\.)?(w?qkv|qkv_proj|in_proj|query_key_value)"
_NAMES: dict[Role, str] = {
    "query": r"(.*\.)?(q|query|w?q_?(lin|proj)?|query_proj)",
    "key": r"(.*\.)?(k|key|w?k_?(lin|proj)?|key_proj)",
    "value": r"(.*\.)?(v|value|w?v_?(lin|proj)?|value_proj)",
    "attention_output": r".*att.*\.(dense|o|wo|out|out_lin|o_proj|out_proj)",
}


def architecture_of(network: PreTrainedModel) -> Architecture:
    """The family's row in the table, or else what inspection finds, with a warning that names the layers.

    Raises:
        EncoderError: the family is not in the table and its layers cannot be told apart safely.
    """
    return ARCHITECTURES.get(network.config.model_type) or _inspected(network)


def shape_of(network: PreTrainedModel) -> EncoderShape:
    """What a method must know of an unadapted network."""
    row, config = architecture_of(network), network.config
    layer = re.compile(row.inside_layers(r".+"))
    linears: dict[str, tuple[int, int]] = {}
    numbers = set()
    for name, module in network.named_modules():
        match = layer.fullmatch(name)
        if match and isinstance(module, nn.Linear):
            numbers.add(name[: match.start(2)])
            linears.setdefault(_starred(match[2]), (module.in_features, module.out_features))
    return EncoderShape(
        architecture=row,
        hidden_size=config.hidden_size,
        layers=len(numbers),
        heads=config.num_attention_heads,
        embedding_size=network.get_input_embeddings().embedding_dim,  # type: ignore[union-attr, arg-type]
        attention_size=linears[row.key][1] // (3 if row.fused else 1),
        linears=linears,
    )


def max_positions(config: PretrainedConfig, row: Architecture) -> int:
    """Longest input in tokens: RoBERTa's family numbers positions from the padding index + 1."""
    return int(config.max_position_embeddings) - first_position(config, row)


def first_position(config: PretrainedConfig, row: Architecture) -> int:
    """The number of a window's first token."""
    return config.pad_token_id + 1 if row.positions == "after-padding" else 0


def sends_segment_ids(config: PretrainedConfig, row: Architecture) -> bool:
    """Whether segment ids tell question and context apart in this checkpoint."""
    return row.segment_ids and (getattr(config, "type_vocab_size", 0) or 0) > 1


def _starred(path: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", path)


def _inspected(network: PreTrainedModel) -> Architecture:
    config = network.config
    body = f"{network.base_model_prefix}."
    layer = _layer_list(network, body)
    inside = re.compile(rf".*\.{re.escape(layer)}\.0\.(.+)")
    linears = {
        _starred(match[1]): (module.in_features, module.out_features)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and (match := inside.fullmatch(name))
    }
    outside = (name for name, _ in network.named_parameters() if not name.startswith(body))
    row = Architecture(
        model_type=config.model_type,
        layer=layer,
        **_roles(linears, config),
        heads=tuple(dict.fromkeys(name.rpartition(".")[0] for name in outside)),
        segment_ids="token_type_ids" in signature(network.forward).parameters,
        positions=_positions(network),
    )
    layers = ", ".join(f"{role} {getattr(row, role)}" for role in LINEAR)
    warnings.warn(  # users of such an encoder must be able to check what is adapted
        f"the family {row.model_type!r} is not in the table of architectures; found by inspection in each {row.layer}: "
        f"{layers}; span head: {', '.join(row.heads)}; positions: {row.positions}",
        stacklevel=2,
    )
    return row


def _layer_list(network: PreTrainedModel, body: str) -> str:
    """The one list of as many layers as the configuration says, as its name ends."""
    lists = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == network.config.num_hidden_layers
    ]
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    if len(outer) != 1 or not outer[0].startswith(body):
        raise _unknown(network.config, f"{len(outer)} lists of {network.config.num_hidden_layers} layers")
    return outer[0].removeprefix(body)


def _roles(linears: dict[str, tuple[int, int]], config: PretrainedConfig) -> dict[str, Any]:
    """Which linear module of a layer plays which role: attention by name, the feed-forward by its widths."""
    fused = [path for path in linears if re.fullmatch(_FUSED, path.lower())]
    by_role: dict[Role, list[str]] = {}
    for role, names in _NAMES.items():
        own = [path for path in linears if re.fullmatch(names, path.lower()) and path not in fused]
        by_role[role] = own or (fused if role in ("query", "key", "value") else [])
    taken = {path for paths in by_role.values() for path in paths}
    rest = {path: widths for path, widths in linears.items() if path not in taken and "att" not in path.lower()}
    width = config.hidden_size
    by_role["ffn_in"] = [path for path, (inputs, outputs) in rest.items() if inputs == width != outputs]
    by_role["ffn_out"] = [path for path, (inputs, outputs) in rest.items() if outputs == width != inputs]
    if unclear := [role for role in LINEAR if len(by_role[role]) != 1]:
        raise _unknown(config, f"no one module for {', '.join(unclear)} among {', '.join(linears) or 'no linear ones'}")
    return {role: by_role[role][0] for role in LINEAR}


def _positions(network: PreTrainedModel) -> Positions:
    """Learned positions are an embedding; one with a padding index numbers positions from that index + 1."""
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return "absolute" if module.padding_idx is None else "after-padding"
    return "relative"


def _unknown(config: PretrainedConfig, found: str) -> EncoderError:
    return EncoderError(
        f"encoders of the family {config.model_type!r} are not in the table of architectures, and inspection is unsure",
        expected=f"one of {', '.join(sorted(ARCHITECTURES))}; or layers that can be told apart by name and width",
        found=found,
        fix="choose one of these families, or add a row in methods/architectures.py",
    )
