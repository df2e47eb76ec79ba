"""One process at a time in a study folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spantune.errors import RunError
from spantune.runs.atomic_files import explained

LOCKS = ".locks"
"""Folder of the lock files in a study folder. The system lets go of a lock when the process that holds it has died."""


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
