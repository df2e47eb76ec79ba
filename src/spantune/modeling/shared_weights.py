"""Many adapters over one encoder: models of the same encoder use one copy of every weight that none of them changed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, equal, nn

from spantune.modeling.span_model import SpanModel


def share_encoder(models: Sequence[SpanModel]) -> int:
    """Let each model use the first one's tensors wherever its own frozen ones are equal; bytes that became free.

    What a method changed stays its own: tensors that it trains, and those that it replaced (PiSSA's residuals). Models
    must be on their device already, since moving them makes copies again. `SpanModel.merge` copies what it writes to.
    """
    first: dict[str, nn.Parameter] = {}
    freed = 0
    for model in models:
        for name, weight in frozen(model).items():
            known = first.setdefault(name, weight)
            if known.data_ptr() != weight.data_ptr() and _same(known, weight):
                freed += weight.untyped_storage().nbytes()
                weight.data = known.data
        model.shares_encoder = len(models) > 1
    return freed


def frozen(model: SpanModel) -> dict[str, nn.Parameter]:
    """The encoder's own weights that do not learn, by their name in the unadapted network."""
    return {
        model.plain_name(name): weight
        for name, weight in model.named_parameters()
        if not weight.requires_grad and name.startswith("network.") and ".original_module." not in name
    }


def _same(first: Tensor, other: Tensor) -> bool:
    return (first.shape, first.dtype, first.device) == (other.shape, other.dtype, other.device) and equal(first, other)
