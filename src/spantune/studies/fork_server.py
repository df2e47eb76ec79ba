"""Loaded into the server that forks the runs of a study: a signal for the whole group does not end the server.

The server tells the study when a run has ended. If it were gone, the study would not wait for its runs.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_SERVER = os.getpid()


def _outlive(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _SERVER:  # a run that has not begun yet
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    for _number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(_number, _outlive)
