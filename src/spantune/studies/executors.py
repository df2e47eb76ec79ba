"""Where the runs of a study are carried out: one small interface, and this machine."""

from __future__ import annotations

import multiprocessing.connection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spantune.config import TrainConfig
from spantune.studies.worker_process import Outcome, Place, Started, start


@dataclass(frozen=True)
class Job:
    """One run to carry out.

    Attributes:
        name: unique in a study: its folder there.
        config: everything about it. `resume` and `overwrite` say what is to be done about what stands in its folder.
    """

    name: str
    config: TrainConfig


def lock_name(name: str) -> str:
    """The lock file of a run, by the run's name: see `worker_process.Place.lock`."""
    return f"{name.replace('/', '-')}.lock"


class Executor(Protocol):
    """Carries out runs, `workers` at a time. A study keeps no more than these under way.

    A run writes its record into its folder; an outcome only says how it ended. A run that is asked to stop (by `close`,
    or because the study has died) writes a checkpoint, so that the next study goes on with it.
    """

    @property
    def workers(self) -> int:
        """Runs at the same time."""

    def submit(self, job: Job) -> None:
        """Begin a run; returns at once."""

    def wait(self, seconds: float | None = None) -> tuple[Job, Outcome] | None:
        """The next run that has ended, whichever it is; None where none ended in so many seconds.

        Raises:
            RuntimeError: nothing is under way.
        """

    def close(self) -> None:
        """Ask the runs under way to write a checkpoint and stop, and wait until they have."""


class LocalExecutor:
    """Each run in a process of its own on this machine.

    Args:
        workers: processes at a time; they share cores and GPUs, see `worker_process.Place`.
        locks: folder of lock files: a run waits for another process that still writes into its folder.
    """

    def __init__(self, workers: int = 1, locks: Path | None = None) -> None:
        self._workers, self._locks = workers, locks
        self._under_way: dict[int, tuple[Job, Started]] = {}  # by place

    @property
    def workers(self) -> int:
        return self._workers

    def submit(self, job: Job) -> None:
        number = next(place for place in range(self._workers) if place not in self._under_way)
        lock = self._locks / lock_name(job.name) if self._locks else None
        self._under_way[number] = job, start(job.config, job.name, Place(number, self._workers, lock))

    def wait(self, seconds: float | None = None) -> tuple[Job, Outcome] | None:
        if not self._under_way:
            raise RuntimeError("nothing is under way")
        places = {started.sentinel: number for number, (_, started) in self._under_way.items()}
        ended = multiprocessing.connection.wait(list(places), seconds)
        if not ended:
            return None
        job, started = self._under_way.pop(min(places[one] for one in ended))  # type: ignore[index]
        return job, started.outcome()

    def close(self) -> None:
        for _, started in self._under_way.values():
            started.stop()
        for _, started in self._under_way.values():
            started.outcome()
        self._under_way.clear()
