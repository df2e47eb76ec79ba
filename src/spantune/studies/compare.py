"""`compare`: methods, encoders and seeds on the same data, each run in a process of its own, one table."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.reports.figures.files import comparison_plots
from spantune.reports.tables.main_table import comparison
from spantune.reports.write_report import Report
from spantune.runs import RunFolder, write_text_atomic
from spantune.runs.atomic_files import make_folder, refuse_foreign
from spantune.runs.interruption import asked, uninterrupted
from spantune.runs.locks import locked
from spantune.runs.record import RECORD
from spantune.scoring.statistics import estimate
from spantune.studies.budget import Clock, Forecast, fit
from spantune.studies.executors import Executor, LocalExecutor, Say
from spantune.studies.grid_search import GridSearch, Search
from spantune.studies.plan import FLOOR, SWEEP, SWEEP_BUDGET, Arm, arms, final_run, own_keys, sweep_run
from spantune.studies.plan_text import notes_after, notes_before, outline
from spantune.studies.probe import timed
from spantune.studies.record import STUDY, STUDY_LOCK, StudyRecord
from spantune.studies.report import report_of
from spantune.studies.run_state import Facts, facts_as_they_are, record_in, shared_differences
from spantune.studies.schedule import Schedule
from spantune.studies.study_recorder import StudyRecorder, earlier_record, protocol_of

if TYPE_CHECKING:
    from spantune.tracking.trackers import Tracker


def compare(config: CompareConfig, say: Say | None = None, executor: Executor | None = None) -> StudyRecord:
    """Train what is missing of the study, write its record and its report.

    A failing run does not stop the others; its record holds the reason.

    Args:
        say: gets the plan and what happens to each run; default: standard error.
        executor: where the runs are carried out; default: on this machine.

    Returns:
        The study's record; with `config.plan` as it would begin, and no run is written. `report_of` gives its table,
        scores and figures, `summary` a text for the terminal.

    Raises:
        UserError: before anything runs, if a method, an option, the sweep or the folder does not allow it; after the
            first run, if it failed for the data or the encoder, which all runs share.
        KeyboardInterrupt: stopped; the same call continues.
        RunError: at the end, if no run finished.
    """
    return compare_and_report(config, say, executor)[0]


def compare_and_report(
    config: CompareConfig, say: Say | None = None, executor: Executor | None = None
) -> tuple[StudyRecord, Report | None]:
    """As `compare`, with the report that was written; None with `config.plan`."""
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))
    clock = Clock(config.budget_minutes)
    folder, compared = Path(config.output), arms(config)
    if config.teachers:
        from spantune.training.distillation import refuse_teachers

        refuse_teachers(config)
    if config.start_from:
        from spantune.training.warm_start import refuse_starts

        refuse_starts(final_run(config, arm, config.seeds[0], {}) for arm in compared)
    _refuse_other_study(config, compared)
    make_folder(folder)
    with locked(
        folder / STUDY_LOCK,
        "another `spantune compare` works on this study",
        where=folder,
        fix="wait for it, or choose another --output (with --storage, they share the trials of their sweeps)",
    ):
        executor = executor or _executor(config)
        try:
            return _carried_out(config, compared, executor, clock, say)
        finally:
            executor.close()


def _search(config: CompareConfig, arm: Arm, facts: Facts) -> Search:
    """The search of an arm's sweep that the configuration names."""
    base = sweep_run(config, arm, "any", {})
    if config.search == "optuna":
        from spantune.studies.optuna_search import OptunaSearch

        return OptunaSearch(config, arm, base, facts(base))
    default = {parameter.key: parameter.default(base) for parameter in arm.parameters}
    return GridSearch(arm.parameters, default, config.sweep_extend, lambda name, value: name.problem(base, value))


def _executor(config: CompareConfig) -> Executor:
    """The executor that the configuration names."""
    if config.executor == "ray":
        from spantune.studies.ray_executor import RayExecutor

        return RayExecutor(Path(config.output), config.ray_address, cpus=config.ray_cpus, gpus=config.ray_gpus)
    return LocalExecutor(config.workers)


def _carried_out(
    config: CompareConfig, compared: Sequence[Arm], executor: Executor, clock: Clock, say: Say
) -> tuple[StudyRecord, Report | None]:
    earlier, facts = earlier_record(Path(config.output), say), facts_as_they_are()
    rates = timed(config, compared, executor, say) if config.plan or config.budget_minutes else {}
    forecast = Forecast(rates, facts, config.seeds[0], executor.workers)
    fitted = fit(config, compared, forecast.study, clock.left, _begun(config, earlier))
    notes = notes_before(config, compared, facts)
    for line in (*outline(config, compared, fitted, forecast), *(f"note: {note}" for note in notes)):
        say(line)
    recorder = StudyRecorder(config, compared, fitted, earlier, notes)
    if config.plan:
        return recorder.record, None
    trackers: tuple[Tracker, ...] = ()
    try:
        recorder.update()
        trackers = _trackers(config)
        for tracker in trackers:
            tracker.start(protocol_of(config))
        kept = replace(
            fitted.config, **{key: value for tracker in trackers for key, value in tracker.passed_on.items()}
        )
        searches = {arm.folder: _search(kept, arm, facts) for arm in fitted.arms if arm.parameters}
        Schedule(kept, fitted.arms, executor, recorder, searches, forecast, facts, clock, say, _write).run()
        if trackers and (before := _untracked(recorder.record)):
            recorder.note(f"trained without MLflow, so not shown there: {', '.join(before)}")
        recorder.note(*notes_after(recorder.record))
        _refuse_nothing(recorder.record)
    except BaseException as error:
        with uninterrupted():
            if isinstance(error, KeyboardInterrupt) or asked() is not None:
                recorder.close("interrupted", "stopped by the user or the system; the same command continues")
            else:
                recorder.close("failed", str(error) or type(error).__name__)
        raise
    else:
        recorder.close("finished")
        report = report_of(recorder.record).write()
    finally:
        for tracker in trackers:
            tracker.log_metrics(_mean_f1(recorder.record), 0)
            tracker.finish(recorder.record.status, recorder.record.reason)
    return recorder.record, report


def _refuse_other_study(config: CompareConfig, compared: Sequence[Arm]) -> None:
    """ConfigError if the folder holds runs of a study with other settings; RunError if it holds other things."""
    refuse_foreign(Path(config.output), "study", STUDY, _of_a_study)
    own, differences = own_keys(compared), dict[str, str]()
    for arm in compared:
        for seed in config.seeds:
            run = final_run(config, arm, seed, {})
            RunFolder(Path(run.output)).refuse_others()
            differences |= dict.fromkeys(shared_differences(run, own), run.output)
    for run in _points_there(config, compared):
        differences |= dict.fromkeys(shared_differences(run, own | SWEEP_BUDGET), run.output)
    if differences and not config.overwrite:
        raise ConfigError(
            "the study folder holds a study with other settings:\n  " + "\n  ".join(differences),
            where=next(iter(differences.values())),
            fix="the same settings, or another --output; --overwrite runs again what was trained with others",
        )


def _of_a_study(path: Path) -> bool:
    """Whether a file or folder belongs in the folder of a study, or of runs that are to be part of one."""
    return path.name in (STUDY, SWEEP, STUDY_LOCK.parent.name) or os.path.lexists(path / RECORD)


def _points_there(config: CompareConfig, compared: Sequence[Arm]) -> Iterator[TrainConfig]:
    """The sweep runs in the folder as this configuration would have them, apart from their values."""
    by_name = {(arm.method, arm.model): arm for arm in compared if arm.parameters}
    for path in sorted((Path(config.output) / SWEEP).glob("*")):
        record = record_in(path)
        arm = by_name.get((record.method, record.model)) if record else None
        if arm is not None:
            yield replace(sweep_run(config, arm, "any", {}), output=str(path))


def _begun(config: CompareConfig, earlier: StudyRecord | None) -> int | None:
    """Examples of a sweep that an earlier call began with fewer than asked for: it stays with them."""
    if earlier is None or not any(sweep.points for sweep in earlier.sweeps):
        return None
    return earlier.sweep_examples if earlier.protocol.get("sweep_examples") == config.sweep_examples else None


def _write(study: StudyRecord) -> None:
    """Table and plots of what there is so far, by their means: the statistics are for the end."""
    table = comparison(study.records)
    write_text_atomic(study.folder / "table.md", table.to_markdown())
    write_text_atomic(study.folder / "table.csv", table.to_csv())
    comparison_plots(list(study.folders), study.folder / "plots")


def _trackers(config: CompareConfig) -> tuple[Tracker, ...]:
    if not config.mlflow:
        return ()
    from spantune.tracking.trackers import trackers_of  # not before: the room may be deleted

    return trackers_of(config)


def _untracked(study: StudyRecord) -> list[str]:
    """Finished runs that an earlier call trained without a tracker."""
    finished = [run.folder for run in study.all_runs if run.folder and run.status == "finished"]
    return [name for name in finished if not RunFolder(study.folder / name).tracking.exists()]


def _mean_f1(study: StudyRecord) -> dict[str, float | None]:
    """F1 of every method on every encoder, averaged over its seeds."""
    scores: dict[str, list[float | None]] = {}
    models = {record.model for record in study.records}
    for record in study.records:
        arm = record.method if record.trained else FLOOR
        name = arm if len(models) == 1 else f"{arm} on {Path(record.model).name}"
        scores.setdefault(f"f1 {name}", []).append(record.metric("f1"))
    means = {name: estimate(values) for name, values in scores.items()}
    return {name: None if mean is None else mean.mean for name, mean in means.items()}


def _refuse_nothing(study: StudyRecord) -> None:
    """RunError if no final run finished."""
    if any(record.status == "finished" for record in study.records):
        return
    reasons = {run.reason or run.status for run in study.runs if run.status != "planned"}
    raise RunError(
        "no run of the study finished",
        where=str(study.folder),
        found="; ".join(sorted(reasons)) or "no run left a record",
    )
