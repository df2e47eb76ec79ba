"""A run in a process of its own: its memory is its own to measure, and its crash costs nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from spantune.config import TrainConfig
from spantune.errors import DataError, EncoderError, RunError
from spantune.runs.atomic_files import explained

LOCKS = ".locks"
"""Folder of the lock files in a study folder. The system releases a lock when the process that holds it dies."""
Shared = Literal["study", "encoder"]
_DONE, _FAILED, _DATA, _ENCODER, _MEMORY, _INTERRUPTED = 0, 1, 3, 4, 5, 130
_SHARED: dict[int, Shared] = {_DATA: "study", _ENCODER: "encoder"}
_SIGNALS = os.name != "nt"  # Windows cannot ask a process to stop, and its Ctrl-C reaches all of them
_LOCK_SECONDS = 600  # an orphan stops behind its step, or behind the evaluation that it is in
_LONGEST_WORD = 20_000  # characters: a pipe holds 64 KiB, and nobody reads before the process has ended


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        reason: why it failed; None where it finished.
        interrupted: it was asked to stop, and has written a checkpoint.
        crashed: it ran out of memory, or its process died: in smaller portions it may go through.
        shared: which other runs would fail for the same reason: all of the `study`, those on the same `encoder`, none.
    """

    reason: str | None = None
    interrupted: bool = False
    crashed: bool = False
    shared: Shared | None = None


@dataclass(frozen=True)
class Place:
    """A run's place among those that run at the same time.

    Attributes:
        number: from 0. of: how many there are. The cores are divided evenly; where there are several GPUs, each place
            has one.
        lock: file that is locked while the run writes into its folder.
    """

    number: int = 0
    of: int = 1
    lock: Path | None = None


@dataclass(frozen=True)
class Started:
    """A run under way in a process of its own."""

    process: BaseProcess
    messages: Connection

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` takes."""
        return self.process.sentinel

    def stop(self) -> None:
        """Ask it to write a checkpoint and stop."""
        if _SIGNALS:
            self.process.terminate()

    def ended(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        self.process.join(seconds)
        return not self.process.is_alive()

    def outcome(self) -> Outcome:
        """Wait until it has ended; how it did."""
        self.process.join()
        code = self.process.exitcode or _DONE
        if code in (_DONE, _INTERRUPTED, -signal.SIGTERM):  # the last before it could catch it, with nothing begun
            return Outcome(interrupted=code != _DONE)
        word = _last_word(self.messages)
        return Outcome(
            reason=word or _died(code),
            crashed=code == _MEMORY or word is None,
            shared=_SHARED.get(code),
        )


def start(config: TrainConfig, name: str, place: Place | None = None) -> Started:
    """Train in a new process."""
    context = _context()
    messages, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(config, sender, place or Place()), name=name)
    process.start()
    return Started(process, messages)


def _died(code: int) -> str:
    if _SIGNALS and code == -signal.SIGKILL:
        return "its process was killed by signal 9, as a system does that has no memory left"
    return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"


def _last_word(messages: Connection) -> str | None:
    try:
        return str(messages.recv()) if messages.poll() else None
    except EOFError:  # it died without one
        return None


def _context() -> Any:
    """A fork server that has loaded the libraries once, where there is one: a run then starts at once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["spantune.training.run", "matplotlib.figure", "matplotlib.backends.backend_agg"])
    return context


def _work(config: TrainConfig, messages: Connection, place: Place) -> None:
    """What the process does; its exit code tells how it ended, its message and the run's record why."""
    if _SIGNALS:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C also reaches the study, which passes it on
        signal.signal(signal.SIGTERM, _interrupt)
        threading.Thread(target=_stop_with_the_study, daemon=True).start()
    warnings.filterwarnings("ignore", category=FutureWarning)  # the libraries' own, as on the command line
    try:
        from spantune.training import train

        _without_bars()
        _take(place)
        with _locked(place):
            train(config)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        from spantune.training.run_recorder import reason_of

        messages.send(reason_of(error)[:_LONGEST_WORD])
        if os.environ.get("SPANTUNE_DEBUG", "0") not in ("", "0"):
            raise
        sys.exit(_code_of(error))


def _without_bars() -> None:
    """A log or a notebook would keep every state of the libraries' progress bars."""
    if not sys.stderr.isatty():
        from datasets import disable_progress_bars
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bars()
        disable_progress_bar()


def _code_of(error: Exception) -> int:
    if _out_of_memory(error):
        return _MEMORY
    return _DATA if isinstance(error, DataError) else _ENCODER if isinstance(error, EncoderError) else _FAILED


def _out_of_memory(error: Exception) -> bool:
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error).lower()  # what the allocators of CPU and GPU say in a RuntimeError
    return isinstance(error, RuntimeError) and any(
        words in said for words in ("out of memory", "allocate memory", "not enough memory", "alloc_failed")
    )


def _take(place: Place) -> None:
    """This place's share of the machine: its cores, and one GPU alone where there are several."""
    import torch

    if place.of > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // place.of))
    gpus = torch.cuda.device_count()  # asks the driver; CUDA reads the variable at its first use
    if gpus > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(number) for number in range(gpus)]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[place.number % len(names)]


def _locked(place: Place) -> AbstractContextManager[Any]:
    """Alone in the run's folder: a study that was killed may have left a process that is still writing there."""
    if place.lock is None:
        return nullcontext()
    from filelock import FileLock, Timeout

    place.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.lock)
    try:
        return lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout as error:
        raise RunError(
            "another process still writes into the run's folder",
            where=str(place.lock),
            fix="end it, or wait for it, and start the study again",
        ) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the record is being written
    raise KeyboardInterrupt


def _stop_with_the_study() -> None:
    """A study that was killed leaves no run behind that nobody waits for."""
    study = multiprocessing.parent_process()
    if study is not None:
        study.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """RunError where another process works on the study in this folder."""
    from filelock import FileLock, Timeout

    with explained(folder):
        (folder / LOCKS).mkdir(exist_ok=True)
    lock = FileLock(folder / LOCKS / "study.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            "another `spantune compare` works on this study",
            where=str(folder),
            fix="wait for it, or choose another --output (with --storage, they share the trials of their sweeps)",
        ) from error
    try:
        yield
    finally:
        lock.release()
