"""The colour and pattern of each method: by its place in its study's report, so that pages and plots agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from spantune.errors import UserError
from spantune.reports.figures.style import places
from spantune.reports.run_groups import Group, group
from spantune.runs import RunRecord
from spantune.runs.folder import RunFolder
from spantune.studies.report import run_folders
from spantune.web.models import Model


def groups_of(study: Path) -> tuple[dict[int, Group], dict[int, RunFolder]]:
    """A study's groups of runs by their place in its report, and the folders by the `id` of their record.

    Raises:
        UserError: the study or one of its records cannot be read.
    """
    folders = run_folders(study)
    records = [RunRecord.read(folder.path) for folder in folders]
    groups = group(records)
    by_place = dict(zip(places([runs.method for runs in groups]), groups, strict=True))
    return by_place, dict(zip(map(id, records), folders, strict=True))


def with_places(models: Sequence[Model], studies: Iterable[Path]) -> tuple[Model, ...]:
    """The models with the places of their methods: those in their study's report, else in the order of the registry.

    Places are unique: where one is taken, as by another study's model, the next free one is used.
    """
    known: dict[Path, int] = {}
    for study in studies:
        known = {**_places_in_report(study), **known}
    alone = [model for model in models if model.folder.resolve() not in known]
    wanted = {model.name: known[model.folder.resolve()] for model in models if model not in alone}
    wanted |= zip([model.name for model in alone], places([model.method for model in alone]), strict=True)
    taken: dict[str, int] = {}
    for name, place in wanted.items():
        taken[name] = next(free for free in range(place, place + len(wanted)) if free not in taken.values())
    return tuple(replace(model, place=taken[model.name]) for model in models)


def _places_in_report(study: Path) -> dict[Path, int]:
    """The place of each run's method in the report, by the run's folder; {} if the study cannot be read."""
    try:
        by_place, folders = groups_of(study)
    except UserError:
        return {}
    return {folders[id(run)].path.resolve(): place for place, runs in by_place.items() for run in runs.runs}
