"""The plan of a study as text, and what a reader of its numbers must know."""

from __future__ import annotations

from collections.abc import Sequence

from spantune.config import CompareConfig
from spantune.reports.tables.number_format import duration, shown
from spantune.studies.budget import Fitted, Forecast
from spantune.studies.grid_search import combinations
from spantune.studies.plan import Arm, final_run
from spantune.studies.record import StudyRecord
from spantune.studies.run_state import Facts

_DECIDE = ("torch", "transformers", "peft", "spantune")
"""Packages whose other versions may give other numbers."""


def outline(config: CompareConfig, arms: Sequence[Arm], fitted: Fitted, forecast: Forecast) -> list[str]:
    """What will be done, what it will take, and what is left out."""
    lines = [_runs(config, arms), *_sweeps(config, arms)]
    if forecast.rates:
        lines += _estimate(config, arms, fitted, forecast)
    return lines


def _runs(config: CompareConfig, arms: Sequence[Arm]) -> str:
    methods = len({arm.method for arm in arms if arm.learns})
    encoders, seeds = len(config.encoders), len(config.seeds)
    compared = _counted(methods, "method") + " and the floor" * config.floor
    parts = [compared, *([_counted(encoders, "encoder")] if encoders > 1 else [])]
    return f"{' × '.join([*parts, _counted(seeds, 'seed')])}: {_counted(len(arms) * seeds, 'run')}"


def _sweeps(config: CompareConfig, arms: Sequence[Arm]) -> list[str]:
    swept = [arm for arm in arms if arm.parameters]
    if not swept:
        return []
    number = sum(points_of(config, arm) for arm in swept)
    beyond = f", and up to {config.sweep_extend} steps beyond an edge" if config.search == "grid" else " by Optuna"
    passes = f"{shown(config.sweep_epochs)} epoch{'s' * (config.sweep_epochs != 1)}"
    about = f"{config.sweep_examples:,} examples, {passes}, seed {config.seeds[0]}"
    lines = [f"first a sweep: {_counted(number, 'run')}{beyond}, each on {about}; chosen by F1 on the selection split"]
    return [*lines, *(f"  {arm.title}: {'; '.join(map(str, arm.parameters))}" for arm in swept)]


def points_of(config: CompareConfig, arm: Arm) -> int:
    """Runs of an arm's sweep, steps beyond an edge not counted."""
    if not arm.parameters:
        return 0
    return config.trials if config.search == "optuna" else len(combinations(arm.parameters))


def _estimate(config: CompareConfig, arms: Sequence[Arm], fitted: Fitted, forecast: Forecast) -> list[str]:
    each = []
    for arm in arms:
        seconds = forecast.run(arm, final_run(config, arm, config.seeds[0], {}))
        each.append(f"{arm.title} {'unknown' if seconds is None else duration(seconds)}")
    lines = [f"estimate: {', '.join(each)} a run; {duration(forecast.study(config, arms))} in all"]
    if config.budget_minutes is not None:
        lines[0] += f", the budget is {duration(60 * config.budget_minutes)}"
    if fitted.left_out:
        rest = duration(forecast.study(fitted.config, fitted.arms))
        lines.append(f"left out to hold it: {', '.join(fitted.left_out)}; what stays takes {rest}")
    return lines


def notes_before(config: CompareConfig, arms: Sequence[Arm], facts: Facts) -> tuple[str, ...]:
    """What is known before anything runs."""
    notes = []
    if len(config.seeds) < 2:
        notes.append(
            "one seed: how much of a difference is the seed's chance cannot be known, and there is no deviation; "
            "--seeds 0 1 2 trains each method three times"
        )
    known = facts(final_run(config, arms[0], config.seeds[0], {}))
    if known is not None and known.shared_contexts:
        notes.append(
            f"CAUTION: {known.shared_contexts} contexts of the reported set are also in the training data, so every "
            "score is too good; `spantune doctor` lists them"
        )
    if config.teachers:
        notes.append(
            "the teachers answer the training data before the first run on them; estimates leave their time out"
        )
    points = {arm.title: points_of(config, arm) for arm in arms if arm.learns}
    if config.sweep and len(set(points.values())) > 1:
        uneven = ", ".join(f"{name} {number}" for name, number in points.items())
        notes.append(
            f"CAUTION: the methods' sweeps differ in their number of runs ({uneven}): who tries more finds more"
        )
    return tuple(notes)


def notes_after(study: StudyRecord) -> tuple[str, ...]:
    """What is known of the runs only when they have finished."""
    finished = [record for record in study.records if record.status == "finished"]
    notes = []
    for package in _DECIDE:
        versions = sorted({record.versions[package] for record in finished if package in record.versions})
        if len(versions) > 1:
            notes.append(f"CAUTION: the runs were made with different versions of {package}: {', '.join(versions)}")
    return tuple(notes)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
