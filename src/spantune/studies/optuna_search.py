"""Optuna as the search of a sweep: for ranges and many parameters, and for several workers that share their trials.

A trial is a row in Optuna's storage, so a worker that was killed continues its own, and another `spantune compare`
with the same storage and settings adds to the same trials.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.config import BOOKKEEPING, CompareConfig, TrainConfig
from spantune.errors import ConfigError
from spantune.runs import without_password
from spantune.runs.folder import sqlite_uri
from spantune.studies.grid_search import Chosen, Trial
from spantune.studies.parameters import Parameter, Range, Values, described
from spantune.studies.plan import TRIAL, Arm
from spantune.studies.record import Point
from spantune.studies.run_state import DataFacts
from spantune.training.code_version import code_version
from spantune.training.run_settings import resolve

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_WORKER = "worker"
_STALE_SECONDS = 600.0  # a trial of another worker that takes longer than this and three times the longest is lost


class OptunaSearch:
    """Tree-structured Parzen estimators (Bergstra et al. 2011), the method's default first.

    This worker's name is its study folder: the same whenever it is started again.

    Args:
        base: a run of the sweep, without its values. facts: of its data; None if they cannot be read.

    Raises:
        ConfigError: Optuna is not installed, or the storage cannot be used.
    """

    def __init__(self, config: CompareConfig, arm: Arm, base: TrainConfig, facts: DataFacts | None) -> None:
        folder = Path(config.output).resolve()
        self.parameters, self.trials, self.worker = arm.parameters, config.trials, str(folder)
        storage = config.storage or sqlite_uri(folder / "optuna.db")
        self._study = _opened(storage, f"spantune {arm.title} {_digest(arm, base, facts)}")
        before = self._study.get_trials(deepcopy=False)
        chance = self.worker if config.storage else ""  # other workers must not begin with the same random values
        self._study.sampler = _sampler(f"{config.seeds[0]} {len(before)} {chance}", config.trials)
        if not before:
            defaults = [(parameter, parameter.default(base)) for parameter in arm.parameters]
            default = {parameter.key: value for parameter, value in defaults if _holds(parameter, value)}
            self._study.enqueue_trial(default, skip_if_exists=True)
        self._spaces = {parameter.key: _distribution(parameter) for parameter in arm.parameters}
        mine = [trial for trial in before if trial.user_attrs.get(_WORKER) == self.worker]
        self._again = [_trial(trial) for trial in mine if trial.state.name != "FAIL"]
        self._given_up = self._try_again([trial for trial in mine if trial.state.name == "FAIL"])
        self._open: set[str] = set()
        self._ended = False

    def ask(self, room: int) -> list[Trial]:
        asked, self._again = self._again, []
        while len(asked) < room and not self._ended and len(self._counted()) < self.trials:
            new = self._study.ask(self._spaces)
            new.set_user_attr(_WORKER, self.worker)
            asked.append(_trial(new))
        self._open |= {trial.label for trial in asked}
        return asked

    def tell(self, trial: Trial, f1: float | None) -> None:
        from optuna.trial import TrialState

        self._open.discard(trial.label)
        state = TrialState.FAIL if f1 is None else TrialState.COMPLETE
        self._study.tell(int(trial.label.removeprefix(TRIAL)), f1, state, skip_if_finished=True)

    def drop(self, trial: Trial, why: str) -> None:
        self.tell(trial, None)
        self._ended = True

    @property
    def done(self) -> bool:
        if self._open or self._again:
            return False
        return self._ended or (len(self._counted()) >= self.trials and not self._others_run())

    def chosen(self) -> Chosen:
        complete = [trial for trial in self._counted() if trial.state.name == "COMPLETE"]
        best = max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)
        if best is None:
            return Chosen(None, "no trial of the sweep finished")
        elsewhere = [trial for trial in complete if trial.user_attrs.get(_WORKER) != self.worker]
        return Chosen(
            dict(best.params),
            f"F1 {best.value:.1f} on the selection split, the best of {len(complete)} trials",
            self._near_an_end(best.params),
            tuple(Point(dict(trial.params), "", "elsewhere", f1=trial.value) for trial in elsewhere),
        )

    def _try_again(self, failed: Sequence[FrozenTrial]) -> frozenset[int]:
        """Queue the values of trials that failed or were dropped in an earlier call; the numbers of those trials.

        Optuna takes no score for a trial that has ended, so they are tried as new ones.
        """
        values = [trial.params for trial in self._study.get_trials(deepcopy=False) if trial.state.name != "FAIL"]
        for trial in failed:
            if trial.params not in values:
                self._study.enqueue_trial(trial.params)
                values.append(trial.params)
        return frozenset(trial.number for trial in failed)

    def _counted(self) -> list[FrozenTrial]:
        """Trials that any worker has begun, except those that are tried again."""
        trials = self._study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state.name != "WAITING" and trial.number not in self._given_up]

    def _others_run(self) -> bool:
        trials = self._counted()
        longest = max((trial.duration.total_seconds() for trial in trials if trial.duration), default=0.0)
        patience = max(_STALE_SECONDS, 3 * longest)
        return any(
            trial.state.name == "RUNNING"
            and trial.user_attrs.get(_WORKER) != self.worker
            and (trial.datetime_start is None or (datetime.now() - trial.datetime_start).total_seconds() < patience)
            for trial in trials
        )

    def _near_an_end(self, best: Values) -> str | None:
        """In words, whether the best value lies in the outer twentieth of its range."""
        ends = []
        for parameter in self.parameters:
            if isinstance(grid := parameter.values, Range):
                scale = math.log if grid.log else float
                low, high, value = (scale(end) for end in (grid.low, grid.high, best[parameter.key]))
                if not 0.05 < (value - low) / (high - low) < 0.95:
                    ends.append(f"{described({parameter.key: best[parameter.key]})} is at an end of {parameter.values}")
        return "; ".join(ends) or None


def _trial(of_optuna: Any) -> Trial:
    return Trial(f"{TRIAL}{of_optuna.number}", dict(of_optuna.params))


def _digest(arm: Arm, base: TrainConfig, facts: DataFacts | None) -> str:
    """Only studies with the same settings, data and code share trials."""
    settings = {key: value for key, value in resolve(base).as_dict().items() if key not in BOOKKEEPING}
    spaces = [{**asdict(parameter), "kind": str(parameter.kind)} for parameter in arm.parameters]
    data = facts and {name: data_set.fingerprint for name, data_set in facts.sets.items()}
    shared = [settings, spaces, data, code_version(arm.method)]
    return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _opened(storage: str, name: str) -> Study:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "--search optuna needs Optuna", found=str(error), fix="pip install spantune[optuna], or --search grid"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    except Exception as error:  # each kind of database has its own
        raise ConfigError(
            "the storage of Optuna's trials cannot be used",
            where=without_password(storage),
            expected="a URL such as sqlite:///trials.db or postgresql://host/name",
            found=next(iter(str(error).splitlines()), type(error).__name__).replace(storage, without_password(storage)),
            fix="another --storage, or none: then the trials are in the study folder",
        ) from error


def _sampler(chance: str, trials: int) -> Any:
    """A third of the trials is random: the others learn from them."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `constant_liar` is experimental in Optuna 4
        return optuna.samplers.TPESampler(
            seed=zlib.crc32(chance.encode()), n_startup_trials=max(3, trials // 3), constant_liar=True
        )


def _holds(parameter: Parameter, value: Any) -> bool:
    values = parameter.values
    return values.low <= value <= values.high if isinstance(values, Range) else value in values


def _distribution(parameter: Parameter) -> Any:
    from optuna import distributions

    values = parameter.values
    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(values)
    if parameter.kind is int:
        return distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
    return distributions.FloatDistribution(values.low, values.high, log=values.log)
