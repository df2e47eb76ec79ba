"""Locks: one process at a time writes into the folder of a run or of a study.

The system releases a lock when the process that holds it ends, however it ends. So a lock file that nobody holds is no
obstacle, and a record that says `running` without one is that of a process that died.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from spantune.errors import RunError
from spantune.runs.atomic_files import TEMPORARY, explained
from spantune.runs.interruption import uninterrupted

RUN_LOCK = f"{TEMPORARY}lock"
"""In a run folder, held by the process that writes into it."""
_A_LOOK_SECONDS = 0.5
"""A taker tries for at least this long: whoever asks if a lock is held keeps it from being taken for a moment."""
_POLL_SECONDS = 0.02
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What file systems say that have none."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, as it says itself; None is what it has not said yet."""

    pid: int | None = None
    host: str | None = None
    since: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "a process that has not said yet which it is"
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def locked(lock: Path, problem: str, *, where: Path, fix: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock; its file is removed at the end.

    Args:
        problem, where, fix: of the error. patience: seconds to wait for another process.

    Raises:
        RunError: another process holds the lock; the message says which.
    """
    end, held = time.monotonic() + max(patience, _A_LOOK_SECONDS), list[int]()

    def release() -> None:
        with uninterrupted():
            while held:
                with suppress(OSError):
                    os.unlink(lock)  # before it is released: whoever takes it then makes a file anew, see `_taken`
                os.close(held.pop())

    try:
        try:
            while not _take(lock, held):
                if time.monotonic() >= end:
                    raise RunError(
                        problem, where=str(where), expected="one process at a time", found=str(_said(lock)), fix=fix
                    )
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            release()
    finally:
        release()  # a signal may have arrived just before the first time


def holder(lock: Path) -> Holder | None:
    """The process that holds a lock, None if there is none. Nothing is written.

    On a file system without locks, a process that left a file is taken to be alive.
    """
    try:
        file = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _lock(file, shared=True) else _said(lock)
    except OSError:
        return _said(lock)
    finally:
        os.close(file)


def _take(lock: Path, held: list[int]) -> bool:
    """Put the open file of a lock into `held`; False if another process holds it."""
    with uninterrupted():
        file = _taken(lock)
        if file is not None:
            held.append(file)
        return file is not None


def _taken(lock: Path) -> int | None:
    """The open file of a lock that is held from now on; None if another process holds it."""
    with explained(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(file) or not _is_at(file, lock):
            os.close(file)
            return None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(file)
            with explained(lock):
                raise
        warnings.warn(f"{lock.parent} is on a file system without locks: start nothing else there", stacklevel=4)
    os.truncate(file, 0)
    os.write(file, json.dumps(asdict(_this_process())).encode())
    return file


def _is_at(file: int, lock: Path) -> bool:
    """Whether an open file is still the one at the path: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(lock))
    except FileNotFoundError:
        return False


def _this_process() -> Holder:
    return Holder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))


def _said(lock: Path) -> Holder:
    try:
        return Holder(**json.loads(lock.read_bytes()))
    except (OSError, ValueError, TypeError):
        return Holder()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int, *, shared: bool = False) -> bool:
        """Lock an open file until it is closed; False if another process has it locked."""
        os.lseek(file, 2**30, os.SEEK_SET)  # beyond what is in the file, which others must be able to read
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(file: int, *, shared: bool = False) -> bool:
        """Lock an open file until it is closed; False if another process has it locked."""
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
