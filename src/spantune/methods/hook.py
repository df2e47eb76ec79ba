"""What a method does besides the forward pass while its models are trained, saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class Hook:
    """Does nothing. A method that needs more names a subclass in its trait `hook`.

    Args:
        network: the encoder as the method adapted it; inside PEFT's wrapper if PEFT injected the method.
    """

    checkpoint = "method.safetensors"
    """The file of a checkpoint that holds `state`."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def penalty(self) -> Tensor | None:
        """A scalar whose gradient is added to that of each window's loss; its value is left out of the logged loss."""

    def after_step(self, step: int, steps: int, *, learned: bool = True) -> None:
        """Called after each step of the optimiser, while the gradients are still there.

        Args:
            step: the step just done, from 1. steps: of the whole run.
            learned: False if the optimiser skipped the step (a loss scale that overflowed): its gradients say nothing.
        """

    def metrics(self) -> dict[str, float]:
        """Numbers to log beside the training loss."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs besides the weights that learn."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put `state` back."""

    def finish(self) -> str | None:
        """Called once after training, before the model is scored and saved; a note for the run's record."""

    def before_saving(self, config: Any, state: dict[str, Tensor]) -> None:
        """Change what is saved of an adapter: PEFT's configuration (None without PEFT), and the weights by name."""

    def before_loading(self, state: dict[str, Tensor]) -> None:
        """Prepare a fresh network for the weights of a saved adapter; remove everything else."""
