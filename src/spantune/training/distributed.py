"""One run in several processes, a GPU each, as `torchrun` and `accelerate launch` start them.

Every process reads the same data and holds the same model; each learns its share of every batch, and they exchange
gradients once per step (PyTorch's DistributedDataParallel). So a run learns the same in one process and in many: the
batch size is the run's, not a process's. The first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch

from spantune.answering.batches import LengthBatches
from spantune.config.training import Device

_T = TypeVar("_T")


def join(device: Device) -> None:
    """Connect to the other processes, if there are any, and choose this one's GPU."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu" or not torch.cuda.is_available())


def wait() -> None:
    """Wait until all processes have come as far as this."""
    if count() > 1:
        torch.distributed.barrier()


def part() -> None:
    """Disconnect from the others, all at the same time; from here on, each process ends by itself."""
    if count() > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def count() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """This one's number; 0 is the one that writes."""
    return int(os.environ.get("RANK", 0))


def agreed(decide: Callable[[], _T]) -> _T:
    """What the first process decides, in all of them; the others wait for it."""
    if count() == 1:
        return decide()
    decided: list[Any] = [decide() if rank() == 0 else None]
    torch.distributed.broadcast_object_list(decided)
    return decided[0]  # type: ignore[no-any-return]


def any_of(asked: bool, device: torch.device) -> bool:
    """Whether any process asks for it."""
    if count() == 1:
        return asked
    any_asked = torch.tensor(int(asked), device=device)
    torch.distributed.all_reduce(any_asked, torch.distributed.ReduceOp.MAX)
    return bool(any_asked)


def first_process_first() -> AbstractContextManager[None]:
    """A context that the first process enters first, so that the others find in the cache what it has made."""
    if count() == 1:
        return nullcontext()
    from accelerate import PartialState

    return PartialState().main_process_first()


class Share:
    """This process's rows of every batch, every n-th one, so that all have windows of similar length.

    A process without any in a short last batch gets the first row, which does not count: as `~row`, a negative number.
    """

    def __init__(self, batches: LengthBatches, rank: int, count: int) -> None:
        self.batches, self.rank, self.count = batches, rank, count
        self.batch_size, self.drop_last = batches.batch_size, False

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order; the Trainer calls it."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield batch[self.rank :: self.count] or [~batch[0]]


class CountedRows:
    """Rows of windows by number; `~row` only fills a batch: it has no label, so it has no loss."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number >= 0:
            return dict(self.rows[number])
        return {**self.rows[~number], "stands_in": True}

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [self[number] for number in numbers]
