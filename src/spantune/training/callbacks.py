"""When a run evaluates, saves and stops, and what it records on the way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState

from spantune.config import RunConfig
from spantune.runs.interruption import STOP_SIGNALS, on_signal
from spantune.training import distributed

_NAMES = {"eval_em": "selection_em", "eval_f1": "selection_f1", "eval_loss": "selection_loss"}


class Cadence(TrainerCallback):
    """Evaluate `evals_per_epoch` times per epoch, save a checkpoint every `checkpoint_seconds`; do both at the end."""

    def __init__(self, config: RunConfig, steps_per_epoch: int, *, selects: bool) -> None:
        self.steps, self.evals = steps_per_epoch, min(config.evals_per_epoch, steps_per_epoch)
        self.selects, self.checkpoint_seconds = selects, config.checkpoint_seconds
        self.saved_at = time.monotonic()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        last = state.global_step >= state.max_steps
        due = state.global_step * self.evals // self.steps > (state.global_step - 1) * self.evals // self.steps
        control.should_evaluate = self.selects and (due or last)
        # Processes of one run have different clocks, and all must save together: as soon as it is time for one.
        old = distributed.any_of(time.monotonic() - self.saved_at >= self.checkpoint_seconds, args.device)
        control.should_save = old or last
        if control.should_save:
            self.saved_at = time.monotonic()
        return control


class Journal(TrainerCallback):
    """Pass every log of the Trainer to `listener`: step, epoch, and metrics under the names of the history."""

    def __init__(self, listener: Callable[[int, float, dict[str, float]], None]) -> None:
        self.listener = listener

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **_: Any) -> None:
        metrics = {
            _NAMES.get(key, key): float(value)
            for key, value in logs.items()
            if key in _NAMES or ("loss" in logs and key != "epoch")
        }
        if metrics and state.is_world_process_zero:
            self.listener(state.global_step, float(state.epoch or 0), metrics)


class Bar(ProgressCallback):
    """The Trainer's progress bar, with the latest numbers after it instead of a line for every log."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **_: Any) -> None:
        if self.training_bar is not None and state.is_world_process_zero:
            names = {"loss": "loss", "eval_f1": "selection F1"}
            self.shown |= {names[key]: f"{float(value):.3g}" for key, value in logs.items() if key in names}
            self.training_bar.set_postfix(self.shown)


class GracefulStop(TrainerCallback):
    """First Ctrl-C, SIGTERM or SIGHUP: finish the step, save a checkpoint, stop. A second of its kind stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self.number: int = signal.SIGTERM
        """Of the signal; another process of the run may have got it."""
        self._signals: set[int] = set()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> GracefulStop:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number in self._signals:
            on_signal(number)
        if not self.asked:
            self.asked, self.number = True, number
        self._signals.add(number)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        self.asked = distributed.any_of(self.asked, args.device)  # all stop after the same step
        if self.asked:
            # An evaluation that is due is still made: the resumed run would not come back to this step.
            control.should_save = control.should_training_stop = True
        return control
