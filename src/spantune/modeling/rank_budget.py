"""The rank budget of AdaLoRA: which singular values of which layers stay (Zhang et al. 2023, arXiv:2303.10512).

A layer's update is P diag(E) Q. PEFT calls P `lora_B` (D_out, s), E `lora_E` (s, 1) and Q `lora_A` (s, D_in). A rank is
pruned while its value in E is 0; the optimiser may bring it back until the last change. That is all there is to know
about a set of weights, so what is saved follows from the weights alone, whichever step they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from peft.tuners.adalora import SVDLinear

_ADAPTER = "default"
_SAVED = "base_model.model."
"""What PEFT puts before the names of the encoder's modules in a file."""
Key = tuple[str, str]
"""A layer's name and one of `_PARTS`."""
_PARTS = ("lora_A", "lora_E", "lora_B")


class RankBudget:
    """Gives out ranks among a model's layers while it trains.

    Args:
        network: a model with AdaLoRA inside, as PEFT wraps it. Its configuration says the ranks in the beginning
            (`init_r`) and on average in the end (`target_r`), and, in steps of a run of `total_step`, when pruning
            begins (`tinit`) and how long nothing changes any more in the end (`tfinal`).

    Attributes:
        possible: ranks of all layers together in the beginning. target: in the end.
    """

    def __init__(self, network: Any) -> None:
        self.config = network.peft_config[_ADAPTER]
        self.weights: dict[Key, Tensor] = {
            (name, part): getattr(layer, part)[_ADAPTER] for name, layer in _layers(network).items() for part in _PARTS
        }
        self.kept = {
            name: torch.ones(len(value), dtype=torch.bool, device=value.device)
            for (name, part), value in self.weights.items()
            if part == "lora_E"
        }
        self.possible = sum(map(len, self.kept.values()))
        self.target = self.config.target_r * len(self.kept)
        self._sensitivity = {key: torch.zeros_like(weight) for key, weight in self.weights.items()}
        self._uncertainty = {key: torch.zeros_like(weight) for key, weight in self.weights.items()}

    def __len__(self) -> int:
        """Ranks that are kept now, in all layers together."""
        return sum(int(kept.sum()) for kept in self.kept.values())

    def at(self, step: int, steps: int) -> int:
        """How many ranks all layers have together behind `step` of `steps`; it falls by a cubic curve."""
        first, last = self._changes(steps)
        left = min(max(1 - (step - first) / (last - first), 0.0), 1.0)
        return int((self.possible - self.target) * left**3 + self.target)

    @torch.no_grad()
    def update(self, step: int, steps: int, *, learned: bool = True) -> None:
        """Prune to the budget; between the optimiser's step and the next zeroing of gradients.

        Args:
            step: the optimiser step that was just done, from 1. steps: of the whole run.
            learned: False where the optimiser left the step out (a loss scale that overflowed): its gradients say
                nothing.
        """
        first, last = self._changes(steps)
        if step <= last:
            if learned:
                self._smooth()
            if step > first:
                self._allocate(self.at(step, steps))
        if step > first:
            for name, kept in self.kept.items():
                self.weights[name, "lora_E"].masked_fill_(~kept[:, None], 0.0)

    def penalty(self) -> Tensor:
        """How far Q Qᵀ and Pᵀ P are from the identity (mean Frobenius norm), times its weight in the loss."""
        grams = []
        device = next(iter(self.weights.values())).device
        with torch.autocast(device.type, enabled=False):
            for (_, part), weight in self.weights.items():
                if part != "lora_E":
                    grams.append(weight @ weight.T if part == "lora_A" else weight.T @ weight)
            away = torch.stack(grams) - torch.eye(self.config.init_r, device=device)
            return self.config.orth_reg_weight * torch.linalg.matrix_norm(away).mean()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs beside the weights: smoothed importances and the ranks kept."""
        averages = {"sensitivity": self._sensitivity, "uncertainty": self._uncertainty}
        made = {
            f"{kind}.{'.'.join(key)}": weight for kind, all_of in averages.items() for key, weight in all_of.items()
        }
        return made | {f"kept.{name}": kept for name, kept in self.kept.items()}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put `state` back."""
        for name, own in self.state().items():
            own.copy_(state[name])

    def _changes(self, steps: int) -> tuple[int, int]:
        """Behind which step pruning begins, and the last step that changes which ranks stay."""
        length = self.config.total_step
        return steps * self.config.tinit // length, steps - steps * self.config.tfinal // length

    def _smooth(self) -> None:
        """Take the last step's sensitivities |weight · gradient| into the moving averages."""
        for key, weight in self.weights.items():
            if weight.grad is None:  # of a layer that the network did not use
                continue
            average, now = self._sensitivity[key], (weight * weight.grad).abs()
            average.lerp_(now, 1 - self.config.beta1)
            self._uncertainty[key].lerp_((now - average).abs(), 1 - self.config.beta2)

    def _allocate(self, budget: int) -> None:
        """Keep the `budget` most important ranks of all layers."""
        scores = [self._importance(name) for name in self.kept]
        best = torch.cat(scores).argsort(descending=True, stable=True)[:budget]
        kept = torch.zeros(self.possible, dtype=torch.bool, device=best.device)
        kept[best] = True
        for own, now in zip(self.kept.values(), kept.split([len(score) for score in scores]), strict=True):
            own.copy_(now)

    def _importance(self, layer: str) -> Tensor:
        """Of each rank (s,): of its singular value, plus the means over its singular vectors."""
        q, e, p = (self._sensitivity[layer, part] * self._uncertainty[layer, part] for part in _PARTS)
        return q.mean(1) + e[:, 0] + p.mean(0)


def _layers(network: Any) -> dict[str, SVDLinear]:
    """The adapted layers by their names in the encoder."""
    from peft.tuners.adalora import SVDLinear

    modules = network.get_base_model().named_modules()
    return {name: module for name, module in modules if isinstance(module, SVDLinear)}


def hold_scales(network: Any) -> None:
    """Freeze `ranknum`, by which PEFT divides each update: it becomes trainable when moved to another device."""
    for layer in _layers(network).values():
        layer.ranknum[_ADAPTER].requires_grad = False


def _resize(network: Any, pattern: Mapping[str, list[bool]]) -> None:
    """Cut layers' ranks down; their scales stay those of the beginning."""
    network.base_model.resize_modules_by_rank_pattern(pattern, _ADAPTER)
    hold_scales(network)


def drop_pruned(network: Any) -> int:
    """Take the pruned ranks out of a trained network, which then costs less; how many ranks are left."""
    layers = _layers(network)
    masks = _kept({name: layer.lora_E[_ADAPTER].detach() for name, layer in layers.items()})
    _resize(network, {f"{name}.lora_E": mask.tolist() for name, mask in masks.items()})
    return sum(len(layer.lora_E[_ADAPTER]) for layer in layers.values())


def without_pruned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An adapter's weights, by their names in the file, without the pruned ranks."""
    left = dict(state)
    values = {name.removesuffix(".lora_E"): value for name, value in state.items() if name.endswith(".lora_E")}
    for layer, kept in _kept(values).items():
        for part in ("lora_A", "lora_E"):
            left[f"{layer}.{part}"] = state[f"{layer}.{part}"][kept]
        left[f"{layer}.lora_B"] = state[f"{layer}.lora_B"][:, kept].contiguous()
    return left


def _kept(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks of the ranks kept, of the layers that lost some, from their E; none where nothing has been learned yet."""
    if not any(value.any() for value in values.values()):
        return {}
    masks = {name: value[:, 0] != 0 for name, value in values.items()}
    return {name: mask for name, mask in masks.items() if not mask.all()}


def rank_pattern(state: Mapping[str, Tensor], start: int) -> dict[str, list[bool]] | None:
    """How many of each layer's `start` ranks a file holds, in PEFT's words; None where it holds all."""
    ranks = {
        name.removeprefix(_SAVED): len(value)
        for name, value in state.items()
        if name.endswith(".lora_E") and value.dim() == 2 and len(value) < start
    }
    return {name: [place < rank for place in range(start)] for name, rank in ranks.items()} or None


def make_room(network: Any, state: Mapping[str, Tensor]) -> None:
    """Bring a fresh network's layers to the ranks of the weights that are to be loaded."""
    pattern = rank_pattern(state, network.peft_config[_ADAPTER].init_r) or {}
    own = {f"{name}.lora_E" for name in _layers(network)}
    _resize(network, {name: kept for name, kept in pattern.items() if name in own})
