"""Torch's threads on a CPU, shared out among pieces of work that are done at the same time.

An operation on little is over before all cores have shared it out well, and each waits for the slowest. Pieces of work
side by side wait for each other at the end alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for an operation on the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SideBySide:
    """A pool for several pieces of work at the same time, each on its share of torch's threads.

    Args:
        sides: how many at once. name: of the threads, for who looks at the process.
    """

    def __init__(self, sides: int, name: str) -> None:
        self._whole = torch.get_num_threads()
        self._share = max(1, self._whole // sides)
        self.pool = ThreadPoolExecutor(
            sides, f"spantune-{name}", initializer=torch.set_num_threads, initargs=(self._share,)
        )

    @contextmanager
    def working(self) -> Iterator[ThreadPoolExecutor]:
        """The pool, while the caller waits: some kernels ask for the number of the process, not for their thread's."""
        with threads(self._share):
            yield self.pool

    def close(self) -> None:
        """End the threads. Those that torch starts later share the work as before."""
        self.pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._whole)
