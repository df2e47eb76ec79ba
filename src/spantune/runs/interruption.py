"""How a process is stopped: SIGINT, SIGTERM and SIGHUP raise an exception, but not while something must stay whole.

So everything that has begun is ended, as after Ctrl-C: records say `interrupted`, no temporary file stays.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Interruption(KeyboardInterrupt):
    """Ctrl-C, or another signal that asks to stop.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class _Signals:
    """What the handler knows; only the main thread runs it."""

    active = False
    """Within `interruptible`."""
    depth = 0
    """Blocks entered that must be whole."""
    waiting: int | None = None
    """A signal that arrived within one."""
    asked: int | None = None
    """The signal that was raised. One is enough: from then on, what has begun is being ended."""


def exit_code(error: KeyboardInterrupt) -> int:
    """As a shell has it: 128 and the number of the signal, 130 for Ctrl-C."""
    return 128 + (error.number if isinstance(error, Interruption) else _Signals.asked or signal.SIGINT)


def asked() -> int | None:
    """The signal that was raised; whatever fails afterwards fails for it, whichever exception a library makes of it."""
    return _Signals.asked


def interrupt(number: int) -> NoReturn:
    """Raise the exception for a signal."""
    _Signals.asked, _Signals.waiting = number if _Signals.active else None, None
    raise Interruption(number)


def on_signal(number: int, frame: FrameType | None = None) -> None:
    """The handler."""
    if _Signals.asked is not None:
        return
    if _Signals.depth:
        _Signals.waiting = number
    else:
        interrupt(number)


@contextmanager
def interruptible(numbers: Sequence[int] = STOP_SIGNALS) -> Iterator[None]:
    """Let signals raise `Interruption` within the block; those that the process ignores (nohup) it still ignores."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    _Signals.active, _Signals.depth, _Signals.waiting, _Signals.asked = True, 0, None, None
    try:
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, on_signal)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _Signals.active, _Signals.asked = False, None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that is ended before a signal is raised; in another than the main thread none is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Signals.depth += 1
    try:
        yield
    finally:
        _Signals.depth -= 1
        if not _Signals.depth and _Signals.waiting is not None:
            interrupt(_Signals.waiting)
