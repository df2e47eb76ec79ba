"""The rank budget of AdaLoRA: which singular values of which layers stay (Zhang et al. 2023, arXiv:2303.10512).

A layer's update is P diag(E) Q. PEFT calls P `lora_B` (D_out, s), E `lora_E` (s, 1) and Q `lora_A` (s, D_in). A rank is
pruned while its value in E is 0; the optimiser may bring it back until the last change. That is all there is to know
about a set of weights, so what is saved follows from the weights alone, whichever step they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from peft.tuners.adalora import SVDLinear
from torch import Tensor

from spantune.methods.hook import Hook

_ADAPTER = "default"
_PARTS = ("lora_A", "lora_E", "lora_B")


class RankBudget(Hook):
    """Distributes ranks among a model's layers while it trains.

    Args:
        network: a model with AdaLoRA inside, as PEFT wraps it. Its configuration gives the ranks in the beginning
            (`init_r`) and on average in the end (`target_r`), and, in steps of a run of `total_step`, when pruning
            begins (`tinit`) and for how long nothing changes in the end (`tfinal`).

    Attributes:
        possible: ranks of all layers together in the beginning. target: in the end.
    """

    checkpoint = "rank_budget.safetensors"

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self.config = network.peft_config[_ADAPTER]
        modules = network.get_base_model().named_modules()
        self.layers: dict[str, SVDLinear] = {name: module for name, module in modules if isinstance(module, SVDLinear)}
        self.possible, self.target = (rank * len(self.layers) for rank in (self.config.init_r, self.config.target_r))
        self._resize({})

    @property
    def weights(self) -> dict[tuple[str, str], Tensor]:
        """By the layer's name and one of `_PARTS`."""
        return {(name, part): getattr(layer, part)[_ADAPTER] for name, layer in self.layers.items() for part in _PARTS}

    @cached_property
    def _state(self) -> dict[str, Tensor]:
        """Smoothed importances, and the ranks kept; made when training begins, on the device of the weights."""
        averages = {
            f"{kind}.{name}.{part}": torch.zeros_like(weight)
            for kind in ("sensitivity", "uncertainty")
            for (name, part), weight in self.weights.items()
        }
        return averages | {
            f"kept.{name}": torch.ones(len(value), dtype=torch.bool, device=value.device)
            for (name, part), value in self.weights.items()
            if part == "lora_E"
        }

    @property
    def kept(self) -> dict[str, Tensor]:
        """Which ranks of each layer are kept now, (s,) bool."""
        return {name: self._state[f"kept.{name}"] for name in self.layers}

    def at(self, step: int, steps: int) -> int:
        """How many ranks all layers have together after `step` of `steps`; it falls by a cubic curve."""
        first, last = self._changes(steps)
        left = min(max(1 - (step - first) / (last - first), 0.0), 1.0)
        return int((self.possible - self.target) * left**3 + self.target)

    @torch.no_grad()
    def after_step(self, step: int, steps: int, *, learned: bool = True) -> None:
        """Prune to the budget."""
        first, last = self._changes(steps)
        if step <= last:
            if learned:
                self._smooth()
            if step > first:
                self._allocate(self.at(step, steps))
        if step > first:
            for name, kept in self.kept.items():
                self.layers[name].lora_E[_ADAPTER].masked_fill_(~kept[:, None], 0.0)

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

    def metrics(self) -> dict[str, float]:
        """The ranks kept now, in all layers together."""
        return {"ranks": sum(int(kept.sum()) for kept in self.kept.values())}

    def state(self) -> dict[str, Tensor]:
        return self._state

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        for name, own in self._state.items():
            own.copy_(state[name])

    def finish(self) -> str:
        """Remove the pruned ranks from the network, which then costs less."""
        values = {name: layer.lora_E[_ADAPTER].detach()[:, 0] for name, layer in self.layers.items()}
        if any(value.any() for value in values.values()):  # else nothing has been learned yet
            self._resize({name: (value != 0).tolist() for name, value in values.items() if not value.all()})
        left = sum(self._ranks().values())
        return f"{left} of {self.possible} ranks kept in {len(self.layers)} layers (budget {self.target})"

    def before_saving(self, config: Any, state: dict[str, Tensor]) -> None:
        """Say in PEFT's words which ranks the layers have."""
        config.rank_pattern = {
            f"{name}.lora_E": [place < rank for place in range(config.init_r)]
            for name, rank in self._ranks().items()
            if rank < config.init_r
        } or None

    def before_loading(self, state: dict[str, Tensor]) -> None:
        """Bring the layers to the ranks of the saved weights."""
        start = self.config.init_r
        saved = {name: state.get(f"base_model.model.{name}.lora_E") for name in self.layers}
        self._resize(
            {
                name: [place < len(value) for place in range(start)]
                for name, value in saved.items()
                if value is not None and value.dim() == 2 and len(value) < start
            }
        )

    def _ranks(self) -> dict[str, int]:
        return {name: len(layer.lora_E[_ADAPTER]) for name, layer in self.layers.items()}

    def _resize(self, kept: Mapping[str, list[bool]]) -> None:
        """Keep only these ranks of the layers named; their scales stay those of the beginning."""
        pattern = {f"{name}.lora_E": mask for name, mask in kept.items()}
        self.network.base_model.resize_modules_by_rank_pattern(pattern, _ADAPTER)
        for layer in self.layers.values():  # PEFT divides each update by it, and would train it
            layer.ranknum[_ADAPTER].requires_grad = False

    def _changes(self, steps: int) -> tuple[int, int]:
        """After which step pruning begins, and the last step that changes which ranks stay."""
        length = self.config.total_step
        return steps * self.config.tinit // length, steps - steps * self.config.tfinal // length

    def _smooth(self) -> None:
        """Take the last step's sensitivities |weight · gradient| into the moving averages."""
        for (name, part), weight in self.weights.items():
            if weight.grad is None:  # of a layer that the network did not use
                continue
            average, now = self._state[f"sensitivity.{name}.{part}"], (weight * weight.grad).abs()
            average.lerp_(now, 1 - self.config.beta1)
            self._state[f"uncertainty.{name}.{part}"].lerp_((now - average).abs(), 1 - self.config.beta2)

    def _allocate(self, budget: int) -> None:
        """Keep the `budget` most important ranks of all layers."""
        scores = [self._importance(name) for name in self.layers]
        best = torch.cat(scores).argsort(descending=True, stable=True)[:budget]
        kept = torch.zeros(self.possible, dtype=torch.bool, device=best.device)
        kept[best] = True
        for own, now in zip(self.kept.values(), kept.split([len(score) for score in scores]), strict=True):
            own.copy_(now)

    def _importance(self, layer: str) -> Tensor:
        """Of each rank (s,): of its singular value, plus the means over its singular vectors."""
        q, e, p = (
            self._state[f"sensitivity.{layer}.{part}"] * self._state[f"uncertainty.{layer}.{part}"] for part in _PARTS
        )
        return q.mean(1) + e[:, 0] + p.mean(0)
