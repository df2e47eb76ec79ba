"""A few steps of each method, to measure what its runs cost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from spantune.config import CompareConfig
from spantune.errors import UserError
from spantune.runs.atomic_files import TEMPORARY
from spantune.studies.budget import Rate
from spantune.studies.executors import Executor, Say
from spantune.studies.plan import Arm, final_name, probe_run
from spantune.studies.run_state import record_in


def timed(config: CompareConfig, arms: Sequence[Arm], executor: Executor, say: Say) -> dict[str, Rate]:
    """Rates by arm's folder: of a finished run if there is one, else of a few steps, each arm's in its own process.

    Raises:
        UserError: what every run would fail for. KeyboardInterrupt: a run was asked to stop.
    """
    known = {arm.folder: rate for arm in arms if (rate := _known(config, arm))}
    waiting = [arm for arm in arms if arm.folder not in known]
    if not waiting:
        return known
    folder = Path(config.output) / f"{TEMPORARY}probe"
    shutil.rmtree(folder, ignore_errors=True)  # of a study that was killed
    say(f"timing a few steps: {', '.join(arm.title for arm in waiting)}")
    try:
        return known | _probed(config, waiting, folder, executor, say)
    except BaseException:
        executor.close()  # its runs write into the folder until they have ended
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(config: CompareConfig, arm: Arm) -> Rate | None:
    records = (record_in(Path(config.output) / final_name(arm, seed)) for seed in config.seeds)
    return next((Rate.of(record) for record in records if record is not None and record.status == "finished"), None)


def _probed(config: CompareConfig, waiting: list[Arm], folder: Path, executor: Executor, say: Say) -> dict[str, Rate]:
    rates, under_way = dict[str, Rate](), dict[str, Arm]()
    while waiting or under_way:
        while waiting and len(under_way) < executor.workers:
            arm = waiting.pop(0)
            under_way[f"probe-{arm.folder}"] = arm
            executor.submit(f"probe-{arm.folder}", probe_run(config, arm, folder))
        name, outcome = executor.wait()
        arm = under_way.pop(name)
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.shared == "study" or (outcome.shared and len(config.encoders) == 1):
            raise UserError(outcome.reason or "the runs cannot begin")
        record = record_in(folder / arm.folder)
        rate = Rate.of(record) if outcome.reason is None and record else None
        if rate is None:
            say(f"  {arm.title}: cannot be timed: {(outcome.reason or 'no reason given').splitlines()[0]}")
        else:
            rates[arm.folder] = rate
    return rates
