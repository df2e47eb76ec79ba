"""Torch's threads on a CPU, divided among tasks that run at the same time.

A small operation ends before it is spread well over all cores, and each core waits for the slowest. Tasks that run in
parallel wait for one another only at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use `count` threads for operations on the CPU within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SideBySide:
    """A pool for several tasks at the same time, each on its share of torch's threads.

    Args:
        sides: how many tasks at once. name: of the threads, shown by process monitors.
    """

    def __init__(self, sides: int, name: str) -> None:
        self._whole = torch.get_num_threads()
        self._share = max(1, self._whole // sides)
        self.pool = ThreadPoolExecutor(
            sides, f"spantune-{name}", initializer=torch.set_num_threads, initargs=(self._share,)
        )

    @contextmanager
    def working(self) -> Iterator[ThreadPoolExecutor]:
        """The pool, while the caller waits: some kernels read the thread count of the process, not of their thread."""
        with threads(self._share):
            yield self.pool

    def close(self) -> None:
        """End the threads and restore the thread count of torch."""
        self.pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._whole)
