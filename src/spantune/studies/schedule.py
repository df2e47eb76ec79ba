"""The course of a study: when each run begins, what its end means for the others, and when to stop."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import RunError, UserError
from spantune.methods import get
from spantune.reports.tables.number_format import duration
from spantune.runs import RunFolder, RunRecord
from spantune.runs.atomic_files import make_folder
from spantune.runs.locks import holder
from spantune.studies.budget import Clock, Forecast, Rate
from spantune.studies.executors import Executor, Say
from spantune.studies.grid_search import Search, Trial
from spantune.studies.parameters import Values, described
from spantune.studies.plan import Arm, final_name, final_run, sweep_name, sweep_run
from spantune.studies.record import StudyRecord
from spantune.studies.run_state import Facts, Plan, plan_of, record_in
from spantune.studies.study_recorder import StudyRecorder
from spantune.studies.worker_process import Outcome
from spantune.training.run_settings import resolve

RETRIES = 2
"""How often a run that crashed is tried again, each time in half the portions."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class StudyRun:
    """One run of a study, on its way.

    Attributes:
        name: its folder in the study. title: for people.
        config: of the run, resolved except for what `train` fills in.
        trial: of its arm's sweep; None for a final run.
        plan, why: see `run_state.plan_of`.
        attempts: what went wrong before it was tried again.
    """

    name: str
    title: str
    config: TrainConfig
    arm: Arm
    trial: Trial | None
    plan: Plan
    why: str
    attempts: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(resolve(self.config).output)


@dataclass
class Schedule:
    """Carries out a study: the sweeps first, then the final runs, seed by seed, so that a study that is stopped in the
    middle has every method with the same seeds.

    Args:
        config: what the budget holds. searches: of the arms that have a sweep, by folder; one that is done is removed.
        say: gets what happens. changed: called with the record when a final run has ended.
    """

    config: CompareConfig
    arms: Sequence[Arm]
    executor: Executor
    recorder: StudyRecorder
    searches: dict[str, Search]
    forecast: Forecast
    facts: Facts
    clock: Clock
    say: Say
    changed: Callable[[StudyRecord], None]

    def __post_init__(self) -> None:
        self._waiting: list[StudyRun] = []
        self._under_way: dict[str, StudyRun] = {}
        self._begun = 0
        self._portions: dict[str, tuple[int, int]] = {}  # by arm, since a run crashed: tokens and windows at once
        self._lost: dict[str, str] = {}  # by encoder: why it cannot be used

    def run(self) -> None:
        """Until everything that can be done is done.

        Raises:
            UserError: what every run would fail for. KeyboardInterrupt: a run was asked to stop.
        """
        for arm in self.arms:
            if arm.folder not in self.searches:
                self._plan_final_runs(arm, {})
        waits_for_others = False
        while self._waiting or self._under_way or self.searches:
            moved = self._search()
            self._begin()
            if self._under_way:
                name, outcome = self.executor.wait()
                self._end(self._under_way.pop(name), outcome)
            elif self.searches and not moved:
                if not waits_for_others:
                    self.say("  waiting for the trials of other workers")
                waits_for_others = True
                time.sleep(_POLL_SECONDS)
        self._measure_speed()

    # What is to be done

    def _search(self) -> bool:
        """Ask the sweeps for what they want to try next; those that are done give the final runs their values.

        Returns:
            Whether there was anything.
        """
        before = len(self._waiting), len(self.searches)
        trials = sum(run.trial is not None for run in self._waiting)
        for arm in self.arms:
            search = self.searches.get(arm.folder)
            if search is None:
                continue
            if search.done:
                self._choose(arm, search)
                continue
            for trial in search.ask(max(0, self.executor.workers - len(self._under_way) - trials)):
                config = sweep_run(self.config, arm, trial.label, trial.values)
                plan = plan_of(config, self.facts, keeps_model=False)
                self.recorder.begin_trial(arm, trial)
                title = f"sweep of {arm.title}, {described(trial.values)}"
                self._waiting.append(StudyRun(sweep_name(arm, trial.label), title, config, arm, trial, *plan))
        return before != (len(self._waiting), len(self.searches))

    def _choose(self, arm: Arm, search: Search) -> None:
        del self.searches[arm.folder]
        chosen = search.chosen()
        self.recorder.choose(arm, chosen)
        if chosen.values is None:
            self.say(f"  {arm.title}: {chosen.why}")
            for seed in self.config.seeds:
                reason = f"nothing was chosen for it: {chosen.why}"
                self.recorder.change(final_name(arm, seed), status="skipped", reason=reason)
            return
        edge = f"; {chosen.edge}" if chosen.edge else ""
        self.say(f"  {arm.title}: {described(chosen.values)} ({chosen.why}{edge})")
        self._plan_final_runs(arm, chosen.values)

    def _plan_final_runs(self, arm: Arm, values: Values) -> None:
        for seed in self.config.seeds:
            config = final_run(self.config, arm, seed, values)
            if self.executor.workers > 1:
                config = replace(config, cost_seconds=0.0)  # see _measure_speed
            run = self._final_run(arm, seed, config)
            expected = self._seconds(run)
            self.recorder.change(run.name, values=dict(values), plan=run.plan, why=run.why, seconds=expected)
            self._waiting.append(run)

    def _final_run(self, arm: Arm, seed: int, config: TrainConfig) -> StudyRun:
        title = f"{arm.title}, seed {seed}"
        return StudyRun(final_name(arm, seed), title, config, arm, None, *plan_of(config, self.facts))

    # Beginning

    def _begin(self) -> None:
        """Begin what there is room and time for; what is done already only needs to be read."""
        while self._waiting and len(self._under_way) < self.executor.workers:
            run = min(self._waiting, key=self._priority)
            self._waiting.remove(run)
            reason = self._lost.get(run.arm.model) or self._no_time(run)
            if run.plan == "done":
                self._announce(run)
                self._finish(run, record_in(run.folder))
            elif reason is not None:
                self._leave(run, reason)
            else:
                self._announce(run)
                self._under_way[run.name] = run
                self.recorder.change(run.name, status="running", attempts=run.attempts)
                self.executor.submit(run.name, self._to_carry_out(run))

    def _priority(self, run: StudyRun) -> tuple[int, int, int]:
        """Steps beyond an edge, the other trials, the final runs by seed; among equals, those that wait longest."""
        place = self.arms.index(run.arm)
        if run.trial is not None:
            return (0 if run.trial.extension else 1, 0, place)
        return (2, self.config.seeds.index(run.config.seed), place)

    def _announce(self, run: StudyRun) -> None:
        self._begun += 1
        record = self.recorder.record
        known = len(record.all_runs) - sum(run.status == "skipped" for run in record.runs)
        self.say(f"[{self._begun}/{max(known, self._begun)}] {run.title}: {run.plan} ({run.why})")

    def _to_carry_out(self, run: StudyRun) -> TrainConfig:
        """By its plan, and in the portions with which a run of the arm went through that had crashed."""
        config = replace(run.config, resume=run.plan == "resume", overwrite=run.plan == "run")
        tokens, windows = self._portions.get(run.arm.folder, (config.max_batch_tokens, config.eval_batch_size))
        tokens, windows = min(tokens, config.max_batch_tokens), min(windows, config.eval_batch_size)
        return replace(config, max_batch_tokens=tokens, eval_batch_size=windows)

    def _no_time(self, run: StudyRun) -> str | None:
        """Why a run is not begun; None if it will end in time, and leaves the final runs theirs."""
        if self.clock.limit is None:
            return None
        needed = self._seconds(run) or 0.0
        reserved = self._seconds_left(trials=False) if run.trial is not None and run.trial.extension else 0.0
        if self.clock.holds(needed + reserved):
            return None
        left = duration(self.clock.left)
        if reserved:
            return f"the {left} that are left are needed for the final runs"
        return f"it would take about {duration(needed)}, {left} are left"

    def _leave(self, run: StudyRun, reason: str) -> None:
        self.say(f"  {run.title}: not begun: {reason}")
        self.recorder.change(run.name, status="skipped", reason=reason)
        if run.trial is not None:
            self.searches[run.arm.folder].drop(run.trial, reason)

    # Ending

    def _end(self, run: StudyRun, outcome: Outcome) -> None:
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.reason is None:
            self._finish(run, _noted(run, record_in(run.folder)), fresh=True)
        elif outcome.crashed and len(run.attempts) < RETRIES:
            self._try_again(run, outcome.reason)
        else:
            self._fail(run, outcome)

    def _try_again(self, run: StudyRun, reason: str) -> None:
        """In half the portions: the same gradients with less memory. Later runs of the arm begin with them."""
        config = run.config
        whole = min(config.max_batch_tokens, config.batch_size * config.max_length), config.eval_batch_size
        tokens, windows = self._portions.get(run.arm.folder, whole)
        self._portions[run.arm.folder] = tokens, windows = max(1, tokens // 2), max(1, windows // 2)
        attempt = f"{reason.splitlines()[0]}; tried again with {tokens} tokens at once"
        self.say(f"  {run.title}: {attempt}")
        again = replace(run, plan="resume", why="crashed before", attempts=(*run.attempts, attempt))
        self._waiting.insert(0, again)
        self._begun -= 1

    def _finish(self, run: StudyRun, record: RunRecord | None, *, fresh: bool = False) -> None:
        assert record is not None, "a finished run has a record"
        measured = record.metrics.get("selection" if run.trial else record.scored_on or "", {})
        f1 = measured.get("f1")
        questions = record.data["selection"].examples if "selection" in record.data else None
        scores = {"em": measured.get("em"), "f1": f1, "questions": questions} if run.trial else {}
        plan = {"plan": "done"} if run.plan == "done" else {}
        self.recorder.change(run.name, status="finished", reason=None, **scores, **plan)
        if rate := Rate.of(record):
            self.forecast.rates[run.arm.folder] = rate
        if fresh:
            took = duration(record.timings.wall_seconds or 0.0)
            scored = f"F1 {f1:.1f}" if f1 is not None else "not scored"
            self.say(f"  {run.title}: {scored}, {took}{self._outlook()}")
        if run.trial is not None:
            shutil.rmtree(RunFolder(run.folder).adapter, ignore_errors=True)  # its score is all that is wanted
            self.searches[run.arm.folder].tell(run.trial, f1)
        elif fresh:
            self.changed(self.recorder.record)

    def _fail(self, run: StudyRun, outcome: Outcome) -> None:
        reason = outcome.reason or "no reason given"
        _mark_failed(run, reason)
        self.recorder.change(run.name, status="failed", reason=reason, attempts=run.attempts)
        encoders = {arm.model for arm in self.arms}
        if outcome.shared == "study" or (outcome.shared == "encoder" and len(encoders) == 1):
            raise UserError(reason)
        if outcome.shared == "encoder":
            self._lost[run.arm.model] = f"the encoder cannot be used: {reason.splitlines()[0]}"
        self.say(f"  {run.title}: failed: {reason}")
        if run.trial is not None:
            self.searches[run.arm.folder].tell(run.trial, None)
        else:
            self.changed(self.recorder.record)

    def _measure_speed(self) -> None:
        """How fast the trained models answer, one after another: side by side they would slow each other down. If the
        budget is used up, another call measures what is left."""
        if self.executor.workers < 2 or self.config.cost_seconds == 0:
            return
        values = {run.folder: run.values for run in self.recorder.record.runs if run.status == "finished"}
        finished = [(seed, arm) for seed in self.config.seeds for arm in self.arms if final_name(arm, seed) in values]
        for seed, arm in finished:
            run = self._final_run(arm, seed, final_run(self.config, arm, seed, values[final_name(arm, seed)]))
            if run.plan != "resume":
                continue
            if not self.clock.holds(None):
                self.say("  the budget is used up: the speed of the other runs is not measured")
                return
            self.say(f"  {run.title}: its speed")
            self.executor.submit(run.name, self._to_carry_out(run))
            _, outcome = self.executor.wait()
            if outcome.interrupted:
                raise KeyboardInterrupt
            if outcome.reason:
                self.say(f"  {run.title}: its speed could not be measured: {outcome.reason}")

    # Time

    def _seconds(self, run: StudyRun) -> float | None:
        """What a run will take; None if that is not known."""
        return 0.0 if run.plan == "done" else self.forecast.run(run.arm, run.config)

    def _seconds_left(self, *, trials: bool) -> float:
        """What the runs that have not ended will take, as far as it is known."""
        runs = [run for run in (*self._waiting, *self._under_way.values()) if trials or run.trial is None]
        seconds = [self._seconds(run) for run in runs]
        for arm in self.arms:
            if arm.folder in self.searches:  # its final runs are not planned yet
                run = self.forecast.run(arm, final_run(self.config, arm, self.config.seeds[0], {}))
                seconds += [run] * len(self.config.seeds)
        return sum(estimate or 0.0 for estimate in seconds) / self.executor.workers

    def _outlook(self) -> str:
        """`; about 12 min left`, once every arm has been timed."""
        left = self._seconds_left(trials=True)
        if not left or any(arm.folder not in self.forecast.rates for arm in self.arms):
            return ""
        budget = f", {duration(self.clock.left)} of the budget" if self.clock.limit is not None else ""
        return f"; about {duration(left)} left{budget}"


def _noted(run: StudyRun, record: RunRecord | None) -> RunRecord | None:
    """The record of a finished run that says what went wrong before."""
    if record is None or not run.attempts:
        return record
    record = replace(record, notes=(*record.notes, *run.attempts))
    record.write(run.folder)
    return record


def _mark_failed(run: StudyRun, reason: str) -> None:
    """A process that died without a word still leaves a truthful record. A trained run stays finished: what failed was
    to measure more of it."""
    if holder(RunFolder(run.folder).lock) is not None:
        return  # the record belongs to the process that works there
    try:
        record = RunRecord.read(run.folder)
        if record.status == "finished":
            return
    except RunError:
        method, config = get(run.config.method), resolve(run.config)
        record = RunRecord("failed", method.name, method.label, config.model, config.seed, config=config.as_dict())
        make_folder(run.folder)
    replace(record, status="failed", reason=reason).write(run.folder)
