"""A run in a process of its own: its memory is its own to measure, and its crash costs nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from spantune.config import TrainConfig
from spantune.errors import DataError, EncoderError
from spantune.runs.interruption import asked, interruptible, uninterrupted

_SIGNALS = os.name != "nt"  # Windows cannot ask a process to stop, and its Ctrl-C reaches all of them
_PATIENCE_SECONDS = 600  # a run that is left of a killed study stops after its step, or the evaluation that it is in
_LONGEST_REASON = 20_000  # characters: a pipe holds 64 KiB, and nobody reads before the process has ended


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        reason: why it failed; None if it finished.
        interrupted: it was asked to stop, and has written a checkpoint.
        crashed: it ran out of memory, or its process died: in smaller portions it may go through.
        shared: which other runs would fail for the same reason: all of the `study`, those on the same `encoder`, none.
    """

    reason: str | None = None
    interrupted: bool = False
    crashed: bool = False
    shared: Literal["study", "encoder"] | None = None


@dataclass(frozen=True)
class Place:
    """A run's place among those that run at the same time.

    Attributes:
        number: from 0. of: how many there are. The cores are divided evenly; if there are several GPUs, each place
            has one.
    """

    number: int = 0
    of: int = 1


class RunProcess:
    """Trains in a new process, whose outcome comes through a pipe."""

    def __init__(self, config: TrainConfig, place: Place | None = None) -> None:
        context = _context()
        self._outcomes, sender = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(target=_work, args=(config, sender, place or Place()))
        self.process.start()

    def stop(self) -> None:
        """Ask it to write a checkpoint and stop."""
        if _SIGNALS:
            self.process.terminate()

    def outcome(self) -> Outcome:
        """Wait until it has ended; how it did."""
        self.process.join()
        try:
            if self._outcomes.poll():
                outcome: Outcome = self._outcomes.recv()
                return outcome
        except EOFError:
            pass
        return _without_word(self.process.exitcode or 0)


def _without_word(code: int) -> Outcome:
    """The outcome of a process that died before it could send one."""
    if code == -signal.SIGTERM:  # asked to stop before it could catch the signal: nothing has begun
        return Outcome(interrupted=True)
    if _SIGNALS and code == -signal.SIGKILL:
        return Outcome("its process was killed by signal 9, as a system does that has no memory left", crashed=True)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return Outcome(f"its process {how}", crashed=True)


def _context() -> Any:
    """A fork server, if the system has one: it loads the libraries once, and a run starts at once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    libraries = ["spantune.training.run", "matplotlib.figure", "matplotlib.backends.backend_agg"]
    context.set_forkserver_preload(["spantune.studies.fork_server", *libraries])
    return context


def _work(config: TrainConfig, outcomes: Connection, place: Place) -> None:
    """What the process does. It sends its outcome; the run's record has the reason as well."""
    if _SIGNALS:
        for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's also reach the study, which passes them on
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=_stop_with_the_study, daemon=True).start()
    warnings.filterwarnings("ignore", category=FutureWarning)  # the libraries' own, as on the command line
    code = 130
    with suppress(KeyboardInterrupt), interruptible((signal.SIGTERM,)):
        outcome, code = _carried_out(config, place)
        with uninterrupted(), suppress(BrokenPipeError):  # the study was killed
            outcomes.send(outcome)
    sys.exit(code)


def _carried_out(config: TrainConfig, place: Place) -> tuple[Outcome, int]:
    """The outcome of a run, and the exit code of its process."""
    try:
        from spantune.training import train

        _without_bars()
        _take(place)
        train(config, patience=_PATIENCE_SECONDS)
    except KeyboardInterrupt:
        return Outcome(interrupted=True), 130
    except Exception as error:
        if asked() is not None:
            return Outcome(interrupted=True), 130
        if os.environ.get("SPANTUNE_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        return _failed(error), 1
    return Outcome(), 0


def _without_bars() -> None:
    """A log or a notebook would keep every state of a progress bar."""
    if not sys.stderr.isatty():
        from datasets import disable_progress_bars
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bars()
        disable_progress_bar()


def _failed(error: Exception) -> Outcome:
    from spantune.training.run_recorder import reason_of

    return Outcome(
        reason_of(error)[:_LONGEST_REASON],
        crashed=_out_of_memory(error),
        shared="study" if isinstance(error, DataError) else "encoder" if isinstance(error, EncoderError) else None,
    )


def _out_of_memory(error: Exception) -> bool:
    words = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")  # of torch's allocators
    shown = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in shown for word in words))


def _take(place: Place) -> None:
    """This place's share of the machine: its cores, and one GPU if there are several."""
    import torch

    if place.of > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // place.of))
    gpus = torch.cuda.device_count()  # asks the driver; CUDA reads the variable at its first use
    if gpus > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(number) for number in range(gpus)]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[place.number % len(names)]


def _stop_with_the_study() -> None:
    """If the study is killed, nobody waits for its runs: they stop, too."""
    study = multiprocessing.parent_process()
    if study is not None:
        study.join()
        os.kill(os.getpid(), signal.SIGTERM)
