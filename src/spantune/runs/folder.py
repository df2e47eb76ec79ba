"""The run folder: where each file is, and how the folder is prepared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from spantune.errors import RunError
from spantune.runs.atomic_files import TEMPORARY, explained, make_folder, probe, refuse_foreign
from spantune.runs.locks import RUN_LOCK, locked
from spantune.runs.record import RECORD, RunRecord

PREDICTIONS, N_BEST, NULL_ODDS = "predictions.json", "n_best.json", "null_odds.json"
"""Files of answers: in a run's folder on its reported set, in one of `evaluations/` on another."""
HISTORY = "history.jsonl"
"""Metrics over steps."""
MLFLOW = "mlflow.json"
"""Names the MLflow run that mirrors the run or study in the same folder."""


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names of folders, with a number after each that is already taken: `lora`, `lora-2`."""
    taken: dict[str, None] = {}
    for wanted in names:
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken[name] = None
    return list(taken)


def sqlite_uri(file: Path) -> str:
    """The address of an SQLite store as SQLAlchemy reads it, whatever characters the path has."""
    path = file.resolve().as_posix()
    return "sqlite:///" + path.translate({ord(mark): quote(mark) for mark in "%?#"})


class RunFolder:
    """The paths inside one run's folder.

    Attributes:
        record: everything about the run.
        config: the resolved configuration; `spantune train --config` takes it.
        adapter: the trained model: adapter and span head, or the whole encoder.
        history: metrics over steps, one JSON object a line.
        predictions: answers on the reported set, `{"id": "answer"}`.
        n_best: candidates of each question with probabilities.
        null_odds: each question's score for "no answer" (v2.0).
        evaluations: scores and answers on other sets (`spantune evaluate`).
        checkpoints: what a resumed run needs; gone from a finished one.
        tracking: names the MLflow run that mirrors this one.
        lock: held by the process that writes into the folder; not there otherwise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / RECORD
        self.config = path / "config.yaml"
        self.adapter = path / "adapter"
        self.history = path / HISTORY
        self.predictions = path / PREDICTIONS
        self.n_best = path / N_BEST
        self.null_odds = path / NULL_ODDS
        self.plots = path / "plots"
        self.evaluations = path / "evaluations"
        self.checkpoints = path / "checkpoints"
        self.tracking = path / MLFLOW
        self.lock = path / RUN_LOCK

    @property
    def holds_work(self) -> bool:
        """Whether the folder holds a run that reached its first step or may still be running."""
        # A record that cannot be read, or a link to nothing, stands for a run, too.
        return os.path.lexists(self.record) and not self._is_without_work()

    def only_writer(self, patience: float = 0.0) -> AbstractContextManager[None]:
        """Lock the folder, which is made, for this process.

        Args:
            patience: seconds to wait for another process that works there.

        Raises:
            RunError: one does, the folder holds other things than a run, or it cannot be written.
        """
        make_folder(self.path)
        self.refuse_others()
        return locked(
            self.lock,
            "another process works in this run folder",
            where=self.path,
            fix="wait for it, end it, or choose another --output",
            patience=patience,
        )

    def prepare(self, *, overwrite: bool = False, resume: bool = False) -> RunRecord | None:
        """Make the folder ready to be written to.

        Args:
            overwrite: remove the run that the folder holds (only files that spantune writes).
            resume: keep it and return its record; a missing or empty folder is a fresh start.

        A run that ended before its first step (after a mistyped source, say) is always replaced.

        Returns:
            The record of the run to continue, or None for a fresh start.

        Raises:
            RunError: the folder holds a run and neither is set, it holds other things, or it cannot be written.
        """
        make_folder(self.path)
        with explained(self.path):
            probe(self.path)
        self.refuse_others()
        if self.holds_work and resume:
            return RunRecord.read(self.path)
        if self.holds_work and not overwrite:
            raise RunError(
                "the output folder already holds a run",
                where=str(self.path),
                found=self._described(),
                fix="--resume continues it, --overwrite replaces it, or choose another --output",
            )
        self._clear()
        return None

    def refuse_others(self) -> None:
        """RunError if the folder holds things but no run; it need not be there."""
        refuse_foreign(self.path, "run", RECORD, lambda path: path.name == RECORD)

    def _is_without_work(self) -> bool:
        try:
            ended = RunRecord.read(self.path).status in ("failed", "interrupted")
        except RunError:
            return False
        return ended and not any(path.exists() for path in (self.history, self.checkpoints, self.adapter))

    def _described(self) -> str:
        try:
            record = RunRecord.read(self.path)
        except RunError as error:
            return error.problem
        return f"{record.method} on {record.model}, seed {record.seed}: {record.status}"

    def _clear(self) -> None:
        with explained(self.path):
            ours = {path for key, path in vars(self).items() if key not in ("path", "record")}
            ours.update(self.path.glob(f"{TEMPORARY}*"))
            ours.discard(self.lock)  # of this process
            for path in (*ours, self.record):  # the record last: until then the folder is recognised as a run's
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
