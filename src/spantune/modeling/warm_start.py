"""Put what a trained model learned into a fresh one of the same encoder, which learns on from there.

With the same method and options it takes all weights as they are. Otherwise it takes what the trained model changed in
the encoder's weights: an update of low rank becomes the nearest matrix of its rank (Eckart and Young 1936).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spantune.errors import MethodError
from spantune.modeling.save_load import misfit
from spantune.modeling.span_model import SpanModel

Weights = Mapping[str, Tensor]
"""By their names in the plain network."""


def go_on_from(model: SpanModel, trained: SpanModel, *, where: str | None = None) -> None:
    """Give a fresh model the weights of one of the same encoder, method and options: the same logits.

    Frozen ones too: some methods draw them by the seed.

    Args:
        where: the trained one comes from, for the error.

    Raises:
        MethodError: a saved model of this method has other weights than one that learns.
    """
    learned = trained.state_dict()
    if mismatch := misfit(model.state_dict(), learned):
        raise MethodError(
            f"{model.method.label} cannot be trained on from a saved model",
            where=where,
            expected=f"the weights that it learns: what is saved of {model.method.label} is only what they came to",
            found=mismatch,
            fix="train it again, for longer; --resume continues an interrupted run",
        )
    model.load_state_dict(learned)


def plain_weights(model: SpanModel) -> Weights:
    """The weights of encoder and head with the adapter folded in, in place; MethodError if it cannot be."""
    if not model.is_plain:
        model.merge()
    weights: Weights = model.network.state_dict()
    return weights


def begin_with(model: SpanModel, weights: Weights, *, where: str | None = None) -> float:
    """Put a trained model's weights into what `model`'s method trains.

    Args:
        model: fresh, of the same encoder. weights: as `plain_weights` gives them.
        where: these come from, for the error.

    Returns:
        The share of the change of the frozen weights that the method could take in, by squares: 0 to 1.

    Raises:
        MethodError: a weight has changed for which the method has nothing that learns.
    """
    changes: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, own in model.named_parameters():
            plain = model.plain_name(name).replace(".modules_to_save.default.", ".")
            if plain not in weights:
                continue  # the adapter's, or PEFT's copy of the untrained head
            if own.requires_grad:
                own.copy_(weights[plain])
            elif not torch.equal(own, weights[plain]):
                changes[plain] = weights[plain] - own
        lost, whole = 0.0, sum(float(change.square().sum()) for change in changes.values())
        for plain, layer in _low_rank_layers(model):
            if plain in changes:
                lost += _take_in(layer, changes.pop(plain))
    if changes:
        raise MethodError(
            f"{model.method.label} cannot hold what the run changed",
            where=where,
            expected="changes of weights that it trains, or that it adapts with an update of low rank",
            found=f"{len(changes)} others, first {next(iter(changes))}",
            fix="--method lora for a run that changes linear layers alone, --method full for any",
        )
    return 1.0 - lost / whole if whole else 1.0


def _low_rank_layers(model: SpanModel) -> list[tuple[str, Any]]:
    """PEFT's layers with an update of low rank, by the name of the weight that they adapt."""
    if not model.method.low_rank:
        return []
    from peft.tuners.lora import Linear

    return [
        (model.plain_name(f"{name}.base_layer.weight"), layer)
        for name, layer in model.named_modules()
        if isinstance(layer, Linear)
    ]


def _take_in(layer: Any, change: Tensor) -> float:
    """Let `scale * B A` be the matrix of A's rank that is nearest to the change (O, I); the squares that are lost."""
    down, up, scale = layer.lora_A["default"].weight, layer.lora_B["default"].weight, layer.scaling["default"]
    left, sizes, right = torch.linalg.svd(change, full_matrices=False)
    rank = min(len(down), len(sizes))
    root = (sizes[:rank] / scale).sqrt()
    up.zero_()
    down[:rank], up[:, :rank] = root[:, None] * right[:rank], left[:, :rank] * root
    return float(sizes[rank:].square().sum())
