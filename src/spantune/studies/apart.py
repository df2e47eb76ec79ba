"""A run in a process of its own: its memory is its own to measure, and its crash costs nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from spantune.config import TrainConfig
from spantune.errors import DataError, EncoderError

_DONE, _FAILED, _ALL_FAIL, _INTERRUPTED = 0, 1, 3, 130
_SIGNALS = os.name != "nt"  # Windows cannot ask a process to stop, and its Ctrl-C reaches all of them


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        reason: why it failed; None where it finished.
        all_fail: whether every run on the same data and encoder would fail for this reason.
    """

    reason: str | None = None
    all_fail: bool = False


def run_apart(config: TrainConfig, name: str) -> Outcome:
    """Train in a new process and wait for it; KeyboardInterrupt where either of the two was interrupted."""
    process, messages = start(config, name)
    try:
        process.join()
    except KeyboardInterrupt:
        if _SIGNALS:
            process.terminate()  # it writes its checkpoint
        process.join()
        raise
    code = process.exitcode or _DONE
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    if code == _DONE:
        return Outcome()
    died = f"its process was killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"
    return Outcome(_last_word(messages) or died, code == _ALL_FAIL)


def _last_word(messages: Connection) -> str | None:
    try:
        return str(messages.recv()) if messages.poll() else None
    except EOFError:  # it died without one
        return None


def start(config: TrainConfig, name: str) -> tuple[BaseProcess, Connection]:
    """A process that trains, and where it says why it failed."""
    context = _context()
    messages, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(config, sender), name=name)
    process.start()
    return process, messages


def _context() -> Any:
    """A fork server that has loaded the libraries once, where there is one: a run then starts at once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["spantune.training.run"])
    return context


def _work(config: TrainConfig, messages: Connection) -> None:
    """What the process does; its exit code tells how it ended, its message and the run's record why."""
    if _SIGNALS:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C also reaches the study, which passes it on
        signal.signal(signal.SIGTERM, _interrupt)
        threading.Thread(target=_stop_with_the_study, daemon=True).start()
    warnings.filterwarnings("ignore", category=FutureWarning)  # the libraries' own, as on the command line
    from spantune.training import train

    try:
        train(config)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        from spantune.training.sheet import reason_of

        messages.send(reason_of(error))
        if os.environ.get("SPANTUNE_DEBUG", "0") not in ("", "0"):
            raise
        sys.exit(_ALL_FAIL if isinstance(error, (DataError, EncoderError)) else _FAILED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the record is being written
    raise KeyboardInterrupt


def _stop_with_the_study() -> None:
    """A study that was killed leaves no run behind that nobody waits for."""
    study = multiprocessing.parent_process()
    if study is not None:
        study.join()
        os.kill(os.getpid(), signal.SIGTERM)
