"""The course of a study: which run begins when, what its end means for the others, and when to stop."""

from __future__ import annotations

import heapq
import itertools
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import RunError, UserError
from spantune.methods import get
from spantune.reports.tables.number_format import duration
from spantune.runs import RunFolder, RunRecord
from spantune.runs.atomic_files import explained
from spantune.studies.budget import Clock, Rate
from spantune.studies.executors import Executor, Job
from spantune.studies.grid_search import Search, Trial
from spantune.studies.parameters import Values, described
from spantune.studies.plan import Arm, final_name, final_run, sweep_name, sweep_run, sweep_title
from spantune.studies.run_state import Cell, Facts, planned, record_in
from spantune.studies.study_recorder import StudySheet
from spantune.studies.worker_process import Outcome
from spantune.training.run_settings import resolve

RETRIES = 2
"""How often a run that crashed is tried again, each time in half the portions."""
_POLL_SECONDS = 1.0
Say = Callable[[str], None]


@dataclass(order=True)
class _Task:
    """A run that is to begin. `trial`: of its sweep; None for a final run."""

    priority: tuple[int, ...]
    cell: Cell = field(compare=False)
    arm: Arm = field(compare=False)
    trial: Trial | None = field(compare=False, default=None)
    attempts: tuple[str, ...] = field(compare=False, default=())


class Schedule:
    """Carries out a study: the sweeps first, then the final runs, seed by seed, so that a study that is stopped in the
    middle has every method with the same seeds.

    Args:
        config: what the budget holds. searches: of the arms that have a sweep. rates: by arm's folder, as far as they
            are known. changed: called when a final run has ended.
    """

    def __init__(
        self,
        config: CompareConfig,
        arms: Sequence[Arm],
        executor: Executor,
        sheet: StudySheet,
        *,
        searches: Mapping[str, Search],
        rates: dict[str, Rate],
        facts: Facts,
        clock: Clock,
        say: Say,
        changed: Callable[[], None],
    ) -> None:
        self.config, self.arms, self.executor, self.sheet = config, arms, executor, sheet
        self.searches, self.rates, self.facts, self.clock = dict(searches), rates, facts, clock
        self._say, self._changed = say, changed
        self._waiting: list[_Task] = []
        self._under_way: dict[str, _Task] = {}
        self._count = itertools.count()
        self._begun = 0
        self._portions: dict[str, tuple[int, int]] = {}  # by arm: what a run that had crashed went through with
        self._lost: dict[str, str] = {}  # by encoder: why it cannot be used
        self._waits_for_others = False

    def run(self) -> None:
        """Until everything that can be done is done.

        Raises:
            UserError: what every run would fail for. KeyboardInterrupt: a run was asked to stop.
        """
        for arm in self.arms:
            if arm.folder not in self.searches:
                self._plan_final_runs(arm, {})
        while self._waiting or self._under_way or self.searches:
            moved = self._search()
            self._begin()
            if self._under_way:
                ended = self.executor.wait()
                if ended is not None:
                    job, outcome = ended
                    self._end(self._under_way.pop(job.name), outcome)
            elif self.searches and not moved:
                self._wait_for_others()
        self._measure_speed()

    # What is to be done

    def _search(self) -> bool:
        """Ask the sweeps for what they want to try next; those that are done give the final runs their values.

        Returns:
            Whether there was anything.
        """
        before = len(self._waiting), len(self.searches)
        trials = sum(one.trial is not None for one in self._waiting)
        for place, arm in enumerate(self.arms):
            search = self.searches.get(arm.folder)
            if search is None:
                continue
            if search.done:
                self._choose(arm, search)
                continue
            for trial in search.ask(max(0, self.executor.workers - len(self._under_way) - trials)):
                config = sweep_run(self.config, arm, trial.label, trial.values)
                title = sweep_title(arm, trial.values)
                cell = planned(sweep_name(arm, trial.label), title, config, self.facts)
                self.sheet.begin_trial(arm, trial)
                self._queue((0 if trial.extension else 1, 0, place), cell, arm, trial)
        return before != (len(self._waiting), len(self.searches))

    def _choose(self, arm: Arm, search: Search) -> None:
        del self.searches[arm.folder]
        chosen = search.chosen()
        self.sheet.choose(arm, chosen)
        if chosen.values is None:
            self._say(f"  {arm.title}: {chosen.why}")
            for seed in self.config.seeds:
                self._skip(final_name(arm, seed), f"nothing was chosen for it: {chosen.why}")
            return
        edge = f"; {chosen.edge}" if chosen.edge else ""
        self._say(f"  {arm.title}: {described(chosen.values)} ({chosen.why}{edge})")
        self._plan_final_runs(arm, chosen.values)

    def _plan_final_runs(self, arm: Arm, values: Values) -> None:
        place = self.arms.index(arm)
        for turn, seed in enumerate(self.config.seeds):
            config = final_run(self.config, arm, seed, values)
            if self.executor.workers > 1:
                config = replace(config, cost_seconds=0.0)  # see _measure_speed
            cell = planned(final_name(arm, seed), f"{arm.title}, seed {seed}", config, self.facts)
            seconds = self._seconds(arm, cell)
            self.sheet.change(cell.name, values=dict(values), plan=cell.plan, why=cell.why, seconds=seconds)
            self._queue((2, turn, place), cell, arm)

    def _queue(self, priority: tuple[int, ...], cell: Cell, arm: Arm, trial: Trial | None = None) -> None:
        heapq.heappush(self._waiting, _Task((*priority, next(self._count)), cell, arm, trial))

    # Beginning

    def _begin(self) -> None:
        """Begin what there is room and time for; what is done already only needs to be read."""
        while self._waiting and len(self._under_way) < self.executor.workers:
            task = heapq.heappop(self._waiting)
            reason = self._lost.get(task.arm.model) or self._no_time(task)
            if task.cell.plan == "done":
                self._tell(task)
                self._finish(task, record_in(task.cell.folder))
            elif reason is not None:
                self._leave(task, reason)
            else:
                self._tell(task)
                self._submit(task)

    def _tell(self, task: _Task) -> None:
        self._begun += 1
        record = self.sheet.record
        known = len(record.runs) + sum(len(sweep.points) for sweep in record.sweeps)
        known -= sum(one.status == "skipped" for one in record.runs)
        self._say(f"[{self._begun}/{max(known, self._begun)}] {task.cell.title}: {task.cell.plan} ({task.cell.why})")

    def _submit(self, task: _Task) -> None:
        self._under_way[task.cell.name] = task
        self.sheet.change(task.cell.name, status="running", attempts=task.attempts)
        self.executor.submit(Job(task.cell.name, self._to_carry_out(task.cell, task.arm)))

    def _to_carry_out(self, cell: Cell, arm: Arm) -> TrainConfig:
        """By its plan, and in the portions with which a run of the arm went through that had crashed."""
        config = replace(cell.config, resume=cell.plan == "resume", overwrite=cell.plan == "run")
        tokens, windows = self._portions.get(arm.folder, (config.max_batch_tokens, config.eval_batch_size))
        return replace(
            config,
            max_batch_tokens=min(tokens, config.max_batch_tokens),
            eval_batch_size=min(windows, config.eval_batch_size),
        )

    def _no_time(self, task: _Task) -> str | None:
        """Why a run is not begun; None where it will end in time, and leaves the final runs theirs."""
        if self.clock.limit is None:
            return None
        needed = self._seconds(task.arm, task.cell)
        reserved = self._final_seconds() if task.trial is not None and task.trial.extension else 0.0
        if self.clock.holds((needed or 0.0) + reserved):
            return None
        left = duration(self.clock.left)
        if reserved:
            return f"the {left} that are left are needed for the final runs"
        return f"it would take about {duration(needed or 0.0)}, {left} are left"

    def _leave(self, task: _Task, reason: str) -> None:
        self._say(f"  {task.cell.title}: not begun: {reason}")
        self._skip(task.cell.name, reason)
        if task.trial is not None:
            self.searches[task.arm.folder].drop(task.trial, reason)

    def _skip(self, name: str, reason: str) -> None:
        self.sheet.change(name, status="skipped", reason=reason)

    # Ending

    def _end(self, task: _Task, outcome: Outcome) -> None:
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.reason is None:
            self._finish(task, _noted(task, record_in(task.cell.folder)), fresh=True)
        elif outcome.crashed and len(task.attempts) < RETRIES:
            self._try_again(task, outcome.reason)
        else:
            self._fail(task, outcome)

    def _try_again(self, task: _Task, reason: str) -> None:
        """In half the portions: the same gradients with less memory. Later runs of the arm begin with them."""
        tokens, windows = self._portions.get(task.arm.folder) or _portions(task.cell.config)
        self._portions[task.arm.folder] = tokens, windows = max(1, tokens // 2), max(1, windows // 2)
        attempt = f"{reason.splitlines()[0]}; tried again with {tokens} tokens at once"
        self._say(f"  {task.cell.title}: {attempt}")
        again = replace(task.cell, plan="resume", why="crashed before")
        heapq.heappush(self._waiting, replace(task, cell=again, attempts=(*task.attempts, attempt)))
        self._begun -= 1

    def _finish(self, task: _Task, record: RunRecord | None, *, fresh: bool = False) -> None:
        assert record is not None, "a finished run has a record"
        measured = record.metrics.get("selection" if task.trial else record.scored_on or "", {})
        em, f1 = measured.get("em"), measured.get("f1")
        questions = record.data["selection"].examples if "selection" in record.data else None
        scores = {"em": em, "f1": f1, "questions": questions} if task.trial else {}
        plan = {"plan": "done"} if task.cell.plan == "done" else {}
        self.sheet.change(task.cell.name, status="finished", reason=None, **scores, **plan)
        if rate := Rate.of(record):
            self.rates[task.arm.folder] = rate
        if fresh:
            took = duration(record.timings.wall_seconds or 0.0)
            scored = f"F1 {f1:.1f}" if f1 is not None else "not scored"
            self._say(f"  {task.cell.title}: {scored}, {took}{self._outlook()}")
        if task.trial is not None:
            shutil.rmtree(RunFolder(task.cell.folder).adapter, ignore_errors=True)  # its score is all that is wanted
            self.searches[task.arm.folder].tell(task.trial, f1)
        elif fresh:
            self._changed()

    def _fail(self, task: _Task, outcome: Outcome) -> None:
        reason = outcome.reason or "no reason given"
        _mark_failed(task.cell, reason)
        self.sheet.change(task.cell.name, status="failed", reason=reason, attempts=task.attempts)
        encoders = {arm.model for arm in self.arms}
        if outcome.shared == "study" or (outcome.shared == "encoder" and len(encoders) == 1):
            raise UserError(reason)
        if outcome.shared == "encoder":
            self._lost[task.arm.model] = f"the encoder cannot be used: {reason.splitlines()[0]}"
        self._say(f"  {task.cell.title}: failed: {reason}")
        if task.trial is not None:
            self.searches[task.arm.folder].tell(task.trial, None)
        else:
            self._changed()

    def _measure_speed(self) -> None:
        """How fast the trained models answer, one after another: side by side they would slow each other down. Where
        the budget is used up, another call measures what is left."""
        if self.executor.workers < 2 or self.config.cost_seconds == 0:
            return
        finished = {one.folder: one.values for one in self.sheet.record.runs if one.status == "finished"}
        for seed in self.config.seeds:
            for arm in self.arms:
                name, title = final_name(arm, seed), f"{arm.title}, seed {seed}"
                if name not in finished:
                    continue
                cell = planned(name, title, final_run(self.config, arm, seed, finished[name]), self.facts)
                if cell.plan != "resume":
                    continue
                if not self.clock.holds(None):
                    self._say("  the budget is used up: the speed of the other runs is not measured")
                    return
                self._say(f"  {title}: its speed")
                self.executor.submit(Job(name, self._to_carry_out(cell, arm)))
                ended = self.executor.wait()
                if ended is not None and ended[1].interrupted:
                    raise KeyboardInterrupt
                if ended is not None and ended[1].reason:
                    self._say(f"  {title}: its speed could not be measured: {ended[1].reason}")

    # Time

    def _seconds(self, arm: Arm, cell: Cell) -> float | None:
        """What a run will take; None where that is not known."""
        if cell.plan == "done":
            return 0.0
        return self._as_timed(arm, cell.config)

    def _as_timed(self, arm: Arm, config: TrainConfig) -> float | None:
        rate = self.rates.get(arm.folder)
        facts = self.facts(replace(config, seed=self.config.seeds[0])) if rate else None  # one seed's, for all
        return rate.seconds(config, facts) if rate and facts else None

    def _final_seconds(self) -> float:
        """What all final runs that have not ended will take, as far as it is known."""
        runs = (one for one in self.sheet.record.runs if one.status in ("planned", "running"))
        open_runs = {one.folder for one in runs if one.plan != "done"}  # what is done may wait to be read
        total = 0.0
        for arm in self.arms:
            number = sum(final_name(arm, seed) in open_runs for seed in self.config.seeds)
            total += number * (self._as_timed(arm, final_run(self.config, arm, self.config.seeds[0], {})) or 0.0)
        return total / self.executor.workers

    def _outlook(self) -> str:
        """`; about 12 min left`, where every arm has been timed."""
        if any(arm.folder not in self.rates for arm in self.arms):
            return ""
        waiting = sum(self._seconds(one.arm, one.cell) or 0.0 for one in self._waiting if one.trial is not None)
        left = self._final_seconds() + waiting / self.executor.workers
        if not left:
            return ""
        budget = f", {duration(self.clock.left)} of the budget" if self.clock.limit is not None else ""
        return f"; about {duration(left)} left{budget}"

    def _wait_for_others(self) -> None:
        if not self._waits_for_others:
            self._say("  waiting for the trials of other workers")
            self._waits_for_others = True
        time.sleep(_POLL_SECONDS)


def _portions(config: TrainConfig) -> tuple[int, int]:
    """Tokens and windows that are in the model at once while a run learns, and while it answers."""
    return min(config.max_batch_tokens, config.batch_size * config.max_length), config.eval_batch_size


def _noted(task: _Task, record: RunRecord | None) -> RunRecord | None:
    """The record of a finished run that says what went wrong before."""
    if record is None or not task.attempts:
        return record
    record = replace(record, notes=(*record.notes, *task.attempts))
    record.write(task.cell.folder)
    return record


def _mark_failed(cell: Cell, reason: str) -> None:
    """A process that died without a word still leaves a truthful record. A trained run stays finished: what failed was
    to measure more of it."""
    try:
        record = RunRecord.read(cell.folder)
        if record.status == "finished":
            return
    except RunError:
        method, config = get(cell.config.method), resolve(cell.config)
        record = RunRecord("failed", method.name, method.label, config.model, config.seed, config=config.as_dict())
        with explained(cell.folder):
            cell.folder.mkdir(parents=True, exist_ok=True)
    replace(record, status="failed", reason=reason).write(cell.folder)
