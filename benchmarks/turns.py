"""A training that goes on only when it is asked to, so that two of them can take turns in one process.

`Trainer.train` runs in a thread of its own from beginning to end and is held at the end of a step. So what is timed is
the Trainer's own loop with its data loading, not an imitation of it, and nothing is set up twice.
"""

from __future__ import annotations

import threading
from queue import Queue
from types import TracebackType
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Trainer

_PATIENCE_SECONDS = 600.0


class Turns:
    """`with Turns(trainer) as turns: turns.steps(3)` trains three optimiser steps and holds.

    The trainer's arguments must allow more steps than are asked for.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._hold = _Hold()
        self._masks: list[Tensor] = []
        self._thread = threading.Thread(target=self._train, daemon=True)
        trainer.add_callback(self._hold)
        self._count_windows()

    def __enter__(self) -> Turns:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hold.asked.put(0)
        self._thread.join(_PATIENCE_SECONDS)

    def steps(self, count: int) -> None:
        """Train `count` optimiser steps; raises what the training raises."""
        if count < 1:
            raise ValueError(f"at least one step, got {count}")
        self._hold.asked.put(count)
        error = self._hold.done.get()
        if error is not None:
            raise error

    def lengths(self) -> list[int]:
        """Real tokens of every window trained since the last call."""
        masks, self._masks[:] = list(self._masks), []
        return [length for mask in masks for length in mask.sum(dim=1).tolist()]

    def _train(self) -> None:
        try:
            self.trainer.train()
            self._hold.done.put(RuntimeError("the training ended by itself: it has too few steps"))
        except BaseException as error:  # handed to the thread that asked
            self._hold.done.put(error)

    def _count_windows(self) -> None:
        step = self.trainer.training_step

        def counted(model: Any, inputs: dict[str, Any], *more: Any, **named: Any) -> Tensor:
            self._masks += [part["attention_mask"] for part in inputs.get("parts", [inputs])]
            return step(model, inputs, *more, **named)

        self.trainer.training_step = counted  # type: ignore[method-assign]


class _Hold(TrainerCallback):
    """Waits for a number of steps, lets them run, says so; 0 ends the training."""

    def __init__(self) -> None:
        self.asked: Queue[int] = Queue()
        self.done: Queue[BaseException | None] = Queue()
        self.left = 0
        self.over = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        return self._wait(control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        self.left -= 1
        if self.left > 0 or self.over:  # a training that is over from the beginning still makes a step
            return self._stopping(control)
        self.done.put(None)
        return self._wait(control)

    def _wait(self, control: TrainerControl) -> TrainerControl:
        self.left = self.asked.get()
        self.over = self.left == 0
        return self._stopping(control)

    def _stopping(self, control: TrainerControl) -> TrainerControl:
        control.should_training_stop = control.should_training_stop or self.over
        return control
