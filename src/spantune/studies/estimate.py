"""What a study will take, from a few steps of each method."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import UserError
from spantune.runs.atomic_files import TEMPORARY
from spantune.studies.budget import Rate
from spantune.studies.executors import Executor, Job
from spantune.studies.grid_search import combinations, label_of
from spantune.studies.optuna_search import TRIAL
from spantune.studies.plan import Arm, final_name, final_run, own_keys, probe_run, sweep_run
from spantune.studies.run_state import Facts, record_in
from spantune.studies.schedule import Say
from spantune.training.run_settings import changed, resolve


def timed(config: CompareConfig, arms: Sequence[Arm], executor: Executor, say: Say) -> dict[str, Rate]:
    """Rates by arm's folder: of a finished run where there is one, else of a few steps, each arm's in its own process.

    Raises:
        UserError: what every run would fail for. KeyboardInterrupt: a run was asked to stop.
    """
    known = {arm.folder: rate for arm in arms if (rate := _known(config, arm))}
    unknown = [arm for arm in arms if arm.folder not in known]
    folder = Path(config.output) / f"{TEMPORARY}probe"
    try:
        return known | _probed(config, unknown, folder, executor, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(config: CompareConfig, arm: Arm) -> Rate | None:
    for seed in config.seeds:
        record = record_in(Path(config.output) / final_name(arm, seed))
        if record is not None and record.status == "finished":
            return Rate.of(record)
    return None


def _probed(config: CompareConfig, arms: Sequence[Arm], folder: Path, executor: Executor, say: Say) -> dict[str, Rate]:
    shutil.rmtree(folder, ignore_errors=True)  # of a study that was killed
    jobs = {probe.name: (arm, probe) for arm in arms for probe in [_probe(config, arm, folder)]}
    waiting, under_way, rates = list(jobs.values()), 0, {}
    if waiting:
        say(f"timing a few steps: {', '.join(arm.title for arm, _ in waiting)}")
    while waiting or under_way:
        while waiting and under_way < executor.workers:
            executor.submit(waiting.pop(0)[1])
            under_way += 1
        ended = executor.wait()
        if ended is None:
            continue
        under_way -= 1
        job, outcome = ended
        arm, _ = jobs[job.name]
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.shared == "study" or (outcome.shared and len(config.encoders) == 1):
            raise UserError(outcome.reason or "the runs cannot begin")
        record = record_in(Path(job.config.output))
        rate = Rate.of(record) if outcome.reason is None and record else None
        if rate is None:
            say(f"  {arm.title}: cannot be timed: {(outcome.reason or 'no reason given').splitlines()[0]}")
        else:
            rates[arm.folder] = rate
    return rates


def _probe(config: CompareConfig, arm: Arm, folder: Path) -> Job:
    return Job(f"probe-{arm.folder}", probe_run(config, arm, folder))


def seconds_left(config: CompareConfig, arms: Sequence[Arm], rates: Mapping[str, Rate], facts: Facts) -> float:
    """What all runs together will take that are not finished; steps beyond an edge not counted, unknown ones as 0."""
    total = 0.0
    for arm in arms:
        rate = rates.get(arm.folder)
        if rate is None:
            continue
        final = [final_run(config, arm, seed, {}) for seed in config.seeds]
        left = [run for run in final if not _is_done(run, own_keys([arm]))]
        for run in (*_points_left(config, arm), *left):
            known = facts(_as_first(run, config))
            total += rate.seconds(run, known) if known else 0.0
    return total


def _points_left(config: CompareConfig, arm: Arm) -> list[TrainConfig]:
    """Points of an arm's sweep that have not finished; of Optuna's trials those of this study are known."""
    if not arm.parameters:
        return []
    if config.search == "grid":
        points = [sweep_run(config, arm, label_of(one), one) for one in combinations(arm.parameters)]
        return [run for run in points if not _is_done(run, frozenset())]
    trial = sweep_run(config, arm, TRIAL, {})
    there = (replace(trial, output=path) for path in glob.glob(f"{glob.escape(trial.output)}*"))
    return [trial] * (config.trials - sum(_is_done(run, own_keys([arm])) for run in there))


def _is_done(run: TrainConfig, chosen: frozenset[str]) -> bool:
    """Whether a finished run stands in the folder, values that a sweep chooses aside."""
    record = record_in(Path(run.output))
    if record is None or record.status != "finished":
        return False
    return not changed(resolve(run), record).keys() - chosen


def _as_first(run: TrainConfig, config: CompareConfig) -> TrainConfig:
    """With the first seed, so that the data are read once."""
    return replace(run, seed=config.seeds[0])
