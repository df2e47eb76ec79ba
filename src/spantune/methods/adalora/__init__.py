"""AdaLoRA: low-rank updates `W + alpha/s * P diag(E) Q` whose ranks go to the layers that need them while training.

P (D_out, s) and Q (s, D_in) are held near orthogonal by a penalty in the loss; E holds s singular values. Each layer
begins with s = `start_rank` of them. The least important ones of all layers together are set to 0, until `rank` a layer
are left on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spantune.methods.architectures import EncoderShape
from spantune.methods.options import require, require_rank, target_layers
from spantune.methods.registry import method

if TYPE_CHECKING:
    from peft import AdaLoraConfig

    from spantune.methods.hook import Hook

# The number of steps is not known here: shares are given as steps of a run this long, and `RankBudget`
# stretches them to the real one.
_STEPS = 1_000_000


@dataclass(frozen=True)
class AdaloraOptions:
    rank: int = 8
    """Average rank of the updates in the end."""
    start_rank: int = 12
    """Rank of each update in the beginning."""
    alpha: int = 32
    """The update is scaled by alpha / start_rank."""
    dropout: float = 0.0
    """Dropout on the update's input while training."""
    orthogonality: float = 0.1
    """Weight of the penalty that keeps P and Q orthogonal."""
    initial: float = 0.1
    """Share of the steps before the first rank is pruned."""
    final: float = 0.5
    """Share of the steps after the last change of ranks."""
    targets: str = "linear"
    """Which layers are adapted: query-value, attention, linear, or names separated by commas."""

    def __post_init__(self) -> None:
        require_rank(self.rank, self.alpha, self.dropout)
        require(self.rank <= self.start_rank <= 1024, "start_rank", f"rank ({self.rank}) to 1024", self.start_rank)
        require(self.orthogonality >= 0, "orthogonality", "0 or more", self.orthogonality)
        for name, share in (("initial", self.initial), ("final", self.final)):
            require(0 <= share < 1, name, "0 to below 1", share)
        share = self.initial + self.final
        require(share <= 0.99, "initial + final", "at most 0.99: ranks are pruned between them", share)


def _rank_budget(network: Any) -> Hook:
    from spantune.methods.adalora.rank_budget import RankBudget

    return RankBudget(network)


@method(
    "adalora",
    label="AdaLoRA",
    family="reparametrisation",
    paper="Zhang et al. 2023, arXiv:2303.10512",
    learning_rate=2e-3,
    grid=(1e-3, 2e-3, 4e-3),
    options=AdaloraOptions,
    mergeable=True,
    hook=_rank_budget,
)
def adalora(options: AdaloraOptions, encoder: EncoderShape) -> AdaLoraConfig:
    """Low-rank updates whose ranks are given out among the layers while training."""
    from peft import AdaLoraConfig

    return AdaLoraConfig(
        init_r=options.start_rank,
        target_r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        orth_reg_weight=options.orthogonality,
        total_step=_STEPS,
        tinit=round(options.initial * _STEPS),
        tfinal=round(options.final * _STEPS),
        target_modules=target_layers(options.targets, encoder, rank=options.start_rank),
    )
