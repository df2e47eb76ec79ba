"""Estimates of what runs will take, from finished ones, and what to leave out if the time is too short."""

from __future__ import annotations

import glob
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spantune.config import CompareConfig, TrainConfig
from spantune.runs import DataRecord, RunRecord
from spantune.studies.grid_search import combinations, label_of
from spantune.studies.plan import TRIAL, Arm, final_run, own_keys, sweep_run
from spantune.studies.run_state import DataFacts, Facts, record_in
from spantune.training.run_settings import changed, resolve

MARGIN = 1.1
"""Estimates are multiplied by this: other work on the machine slows a run down."""
_FEWEST_EXAMPLES = 100


@dataclass(frozen=True)
class Rate:
    """What an arm's runs cost, in seconds.

    Attributes:
        start: of a run apart from training and scoring. learn: of an example in an epoch. score: of a question.
    """

    start: float
    learn: float
    score: float

    @classmethod
    def of(cls, record: RunRecord) -> Rate | None:
        """As measured by a finished run; None if it measured nothing."""
        spent = record.timings
        per_second = spent.examples_per_second
        if spent.train_seconds is None or spent.eval_seconds is None or spent.wall_seconds is None:
            return None
        if record.trained and not per_second:
            return None
        scored = _scored(record.data, record.config["epochs"], record.config["evals_per_epoch"])
        return cls(
            start=max(0.0, spent.wall_seconds - spent.train_seconds - spent.eval_seconds),
            learn=1 / per_second if per_second else 0.0,
            score=spent.eval_seconds / max(1, scored),
        )

    def seconds(self, config: TrainConfig, facts: DataFacts) -> float:
        """What a run with this configuration and these data will take."""
        scored = _scored(facts.sets, config.epochs, config.evals_per_epoch)
        return self.start + self.learn * facts.sets["train"].examples * config.epochs + self.score * scored


def _scored(sets: Mapping[str, DataRecord], epochs: float, evals_per_epoch: int) -> int:
    """Questions that a run answers: the selection split at every evaluation and once more at the end."""
    selection, reported = (sets[name].examples if name in sets else 0 for name in ("selection", "reported"))
    return selection * (max(1, math.ceil(epochs * evals_per_epoch)) + 1) + reported


class Forecast:
    """What the runs of a study will take.

    Args:
        rates: by an arm's folder, as far as they are known. seed: its data represent those of all seeds.
        workers: runs at the same time.
    """

    def __init__(self, rates: dict[str, Rate], facts: Facts, seed: int, workers: int = 1) -> None:
        self.rates, self.workers = rates, workers
        self._facts, self._seed = facts, seed

    def run(self, arm: Arm, config: TrainConfig) -> float | None:
        """Seconds of a run; None if they are not known."""
        rate = self.rates.get(arm.folder)
        facts = self._facts(replace(config, seed=self._seed)) if rate else None
        return rate.seconds(config, facts) if rate and facts else None

    def study(self, config: CompareConfig, arms: Sequence[Arm]) -> float:
        """Seconds of all unfinished runs together, without steps beyond an edge; unknown ones count as 0."""
        total = 0.0
        for arm in arms:
            if arm.folder in self.rates:
                final = [final_run(config, arm, seed, {}) for seed in config.seeds]
                left = [run for run in final if not _is_done(run, own_keys([arm]))]
                total += sum(self.run(arm, run) or 0.0 for run in (*_points_left(config, arm), *left))
        return total / self.workers


def _points_left(config: CompareConfig, arm: Arm) -> list[TrainConfig]:
    """Points of an arm's sweep that have not finished; of Optuna's trials those of this study are known."""
    if not arm.parameters:
        return []
    if config.search == "grid":
        points = [sweep_run(config, arm, label_of(values), values) for values in combinations(arm.parameters)]
        return [run for run in points if not _is_done(run, frozenset())]
    trial = sweep_run(config, arm, TRIAL, {})
    trials = (replace(trial, output=path) for path in glob.glob(f"{glob.escape(trial.output)}*"))
    return [trial] * (config.trials - sum(_is_done(run, own_keys([arm])) for run in trials))


def _is_done(run: TrainConfig, chosen: frozenset[str]) -> bool:
    """Whether the folder holds a finished run of this configuration, values that a sweep chooses aside."""
    record = record_in(Path(run.output))
    return record is not None and record.status == "finished" and not changed(resolve(run), record).keys() - chosen


class Clock:
    """The time that a study may take.

    Args:
        minutes: None for as long as it takes. now: seconds, of a clock that never goes back.
    """

    def __init__(self, minutes: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began = now, now()
        self.limit = None if minutes is None else 60 * minutes

    @property
    def left(self) -> float:
        """Seconds; infinite without a budget."""
        return math.inf if self.limit is None else self.limit - (self._now() - self._began)

    def holds(self, seconds: float | None) -> bool:
        """Whether something that takes so long (None: unknown) would end in time."""
        return self.left > (seconds or 0.0) * MARGIN


@dataclass(frozen=True)
class Fitted:
    """What a budget can hold. left_out: what it cannot, in words."""

    config: CompareConfig
    arms: tuple[Arm, ...]
    left_out: tuple[str, ...]


def fit(
    config: CompareConfig,
    arms: Sequence[Arm],
    seconds: Callable[[CompareConfig, Sequence[Arm]], float],
    left: float,
    begun: int | None = None,
) -> Fitted:
    """Leave out what the time cannot hold: first the last seeds, then examples of the sweep, then the last methods.

    One seed and one method stay, and a sweep keeps at least 100 examples: what then does not fit is not begun.

    Args:
        seconds: what a study still takes. left: what there is.
        begun: examples of the sweep's runs in an earlier call, which could not hold as many as asked for; they stay.
    """
    kept, out = tuple(arms), []
    if begun is not None:
        config = replace(config, sweep_examples=begun)
    while len(config.seeds) > 1 and seconds(config, kept) * MARGIN > left:
        out.append(f"seed {config.seeds[-1]}")
        config = replace(config, seeds=config.seeds[:-1])
    asked = config.sweep_examples
    if begun is None and any(arm.parameters for arm in kept):
        while config.sweep_examples // 2 >= _FEWEST_EXAMPLES and seconds(config, kept) * MARGIN > left:
            config = replace(config, sweep_examples=config.sweep_examples // 2)
        if config.sweep_examples < asked:
            out.append(f"{asked - config.sweep_examples:,} of the {asked:,} examples of each run of the sweep")
    while len(kept) > 1 and seconds(config, kept) * MARGIN > left:
        out.append(kept[-1].title)
        kept = kept[:-1]
    return Fitted(config, kept, tuple(out))
