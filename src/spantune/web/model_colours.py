"""Which colour and pattern a method has: those of its place in its study's report, so that pages and plots agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.errors import UserError
from spantune.reports.figures.style import places
from spantune.reports.run_groups import group
from spantune.runs import RunRecord
from spantune.studies.report import run_folders

if TYPE_CHECKING:
    from spantune.web.served_models import Model

LOOKS = 14
"""Classes of marks in the style sheet: the seven colours of the plots, each with two patterns."""


def look_of(place: int) -> str:
    """The class of a method's marks."""
    return f"method-{place % LOOKS}"


def with_places(models: Sequence[Model], studies: Iterable[Path]) -> tuple[Model, ...]:
    """The models with the places of their methods.

    A model has that of its study; those of no study stand by the order of the methods' registry. No two have the same:
    a model whose place is taken, as by another study's, has the next one that is free.
    """
    known: dict[Path, int] = {}
    for study in studies:
        known = {**_in_report(study), **known}
    alone = [one for one in models if one.folder.resolve() not in known]
    wanted = {one.name: known[one.folder.resolve()] for one in models if one not in alone}
    wanted |= zip([one.name for one in alone], places([one.method for one in alone]), strict=True)
    found: dict[str, int] = {}
    for name, place in wanted.items():
        found[name] = next(one for one in range(place, place + len(wanted)) if one not in found.values())
    return tuple(replace(one, place=found[one.name]) for one in models)


def _in_report(study: Path) -> Mapping[Path, int]:
    """By a run's folder the place of its method in the report; {} where the study cannot be read."""
    try:
        folders = run_folders(study)
        records = [RunRecord.read(one.path) for one in folders]
    except UserError:
        return {}
    path = {id(record): folder.path.resolve() for record, folder in zip(records, folders, strict=True)}
    groups = group(records)
    found = zip(groups, places([one.method for one in groups]), strict=True)
    return {path[id(run)]: place for one, place in found for run in one.runs}
