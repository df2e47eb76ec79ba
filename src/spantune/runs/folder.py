"""The run folder: which file is where, and how the folder is prepared."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spantune.errors import RunError
from spantune.runs.atomic_files import TEMPORARY, explained, probe, refuse_foreign
from spantune.runs.record import RECORD, RunRecord

PREDICTIONS, N_BEST, NULL_ODDS = "predictions.json", "n_best.json", "null_odds.json"
"""What a model answered: in a run's folder on its reported set, in one of `evaluations/` on another."""
MLFLOW = "mlflow.json"
"""Which MLflow run mirrors the run or the study in the same folder."""


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names of folders, with a number after each that is already taken: `lora`, `lora-2`."""
    taken: dict[str, None] = {}
    for wanted in names:
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken[name] = None
    return list(taken)


@dataclass(frozen=True)
class RunFolder:
    """The paths inside one run's folder."""

    path: Path

    @property
    def record(self) -> Path:
        """The truth about the run."""
        return self.path / RECORD

    @property
    def config(self) -> Path:
        """The resolved configuration; `spantune train --config` takes it."""
        return self.path / "config.yaml"

    @property
    def adapter(self) -> Path:
        """The trained model: adapter and span head, or the whole encoder."""
        return self.path / "adapter"

    @property
    def history(self) -> Path:
        """Metrics over steps, one JSON object a line."""
        return self.path / "history.jsonl"

    @property
    def predictions(self) -> Path:
        """Answers on the reported set, `{"id": "answer"}`."""
        return self.path / PREDICTIONS

    @property
    def n_best(self) -> Path:
        """Candidates of each question with probabilities."""
        return self.path / N_BEST

    @property
    def null_odds(self) -> Path:
        """Each question's score for "no answer" (v2.0)."""
        return self.path / NULL_ODDS

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    @property
    def evaluations(self) -> Path:
        """Scores and answers on other sets (`spantune evaluate`)."""
        return self.path / "evaluations"

    @property
    def checkpoints(self) -> Path:
        """What a resumed run needs; gone from a finished one."""
        return self.path / "checkpoints"

    @property
    def tracking(self) -> Path:
        """Which MLflow run mirrors this one."""
        return self.path / MLFLOW

    @property
    def holds_work(self) -> bool:
        """Whether the folder holds a run that got to its first step, or may still be running."""
        return self.record.exists() and not self._is_without_work()

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
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
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
        """RunError where the folder holds things but no run; it need not be there."""
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
            ours = [self.config, self.adapter, self.history, self.predictions, self.n_best, self.null_odds]
            ours += [self.plots, self.evaluations, self.checkpoints, self.tracking]
            ours += self.path.glob(f"{TEMPORARY}*")
            for path in (*ours, self.record):  # the record last: until then the folder is recognised as a run's
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
