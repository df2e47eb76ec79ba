"""Where the runs of a study are carried out: one small interface, and this machine."""

from __future__ import annotations

import multiprocessing.connection
from collections.abc import Callable
from typing import Protocol

from spantune.config import TrainConfig
from spantune.runs.interruption import uninterrupted
from spantune.studies.worker_process import Outcome, Place, RunProcess

Say = Callable[[str], None]
"""Receives each line that a study prints for its user."""


class Executor(Protocol):
    """Carries out runs, at most `workers` at a time; a study never submits more.

    A run has a name, its folder in the study, and a configuration, whose `resume` and `overwrite` say what happens to
    the content of its folder. The run writes its record there; an outcome only says how it ended. A run that is asked
    to stop (by `close`, or because the study has died) writes a checkpoint, from which the next study continues.
    """

    @property
    def workers(self) -> int:
        """Runs at the same time."""

    def submit(self, name: str, config: TrainConfig) -> None:
        """Begin a run; returns at once."""

    def wait(self) -> tuple[str, Outcome]:
        """The name and outcome of the next run that has ended."""

    def close(self) -> None:
        """Ask the runs that are under way to write a checkpoint and stop, and wait until they have."""


class LocalExecutor:
    """Each run in a process of its own on this machine.

    Args:
        workers: processes at a time; they share cores and GPUs, see `worker_process.Place`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._under_way: dict[int, tuple[str, RunProcess]] = {}  # by the number of the place

    def submit(self, name: str, config: TrainConfig) -> None:
        number = next(place for place in range(self.workers) if place not in self._under_way)
        with uninterrupted():  # a run that is not known could not be stopped
            self._under_way[number] = name, RunProcess(config, Place(number, self.workers))

    def wait(self) -> tuple[str, Outcome]:
        places = {run.process.sentinel: number for number, (_, run) in self._under_way.items()}
        ended = multiprocessing.connection.wait(list(places))
        name, run = self._under_way.pop(min(places[job] for job in ended))  # type: ignore[index]
        return name, run.outcome()

    def close(self) -> None:
        for _, run in self._under_way.values():
            run.stop()
        for _, run in self._under_way.values():
            run.outcome()
        self._under_way.clear()
