"""What is served: the runs in the folders that a user names, each with a name of its own, and their panel."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spantune import zoo
from spantune.config import PredictorConfig
from spantune.errors import ConfigError, RunError, SpantuneError, UserError
from spantune.methods import methods
from spantune.runs import RunRecord
from spantune.runs.manifest import MANIFEST, Manifest, read_manifest, saved_in
from spantune.runs.record import RECORD
from spantune.studies.record import STUDY, StudyRecord
from spantune.studies.report import runs_in
from spantune.web.models import Model
from spantune.web.problem_details import reason_of

if TYPE_CHECKING:
    from spantune.answering import Panel

DEMO = Path("studies/demo")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runs:
    """Models in the folders of runs; `broken` names those that cannot answer, with the reason."""

    models: tuple[Model, ...]
    config: PredictorConfig
    broken: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.broken.update({model.name: model.fault for model in self.models if model.fault})

    def load(self) -> Panel:
        """The models that can be loaded, on one panel; where none can, raises as the first of `Predictor.load`."""
        from spantune.answering import Panel, Predictor

        errors: list[Exception] = []

        def loaded() -> Iterator[tuple[str, Predictor]]:
            for model in self.models:
                if model.name in self.broken:
                    continue
                try:
                    predictor = Predictor.load(model.folder, self.config)
                    predictor.ask("Who built it?", "Ada built the mill.")  # refused now, not when a visitor asks
                except Exception as error:  # whatever it is, the other models answer
                    _log.error("%s cannot be loaded: %s", model.name, error, exc_info=_unforeseen(error))
                    errors.append(error)
                    self.broken[model.name] = reason_of(error)
                else:
                    yield model.name, predictor

        try:
            return Panel(loaded())
        except ConfigError:  # there is none
            raise errors[0] if errors else RunError("no model can answer") from None


def _unforeseen(error: Exception) -> Exception | None:
    return None if isinstance(error, SpantuneError) else error


def what_to_serve(named: Sequence[str]) -> tuple[str, ...]:
    """The named folders (`zoo` for all of it), else the demo, else the zoo; RunError if there is none."""
    folders = zoo.each(named) or ((str(DEMO),) if _served_by_default(DEMO) else zoo.names())
    if not folders:
        raise RunError(
            "there is no model to serve",
            expected=f"run or study folders, or {DEMO} in this folder",
            found="neither",
            fix="`make demo` trains several methods in minutes; `spantune train` trains one",
        )
    return folders


def _served_by_default(study: Path) -> bool:
    """Whether a study has a finished run, or says that it should have one."""
    faults: dict[Path, UserError] = {}
    try:
        return bool(_finished(study, faults) or faults)
    except UserError:
        return True  # what is wrong with it is said


def studies_in(folders: Sequence[str]) -> tuple[Path, ...]:
    """Those of the folders that are studies."""
    studies = []
    for folder in folders:
        with suppress(UserError):  # `models_in` says why
            path = zoo.find(folder)
            if not _is_run(path) and _run_folders(path):
                studies.append(path)
    return tuple(studies)


def models_in(folders: Sequence[str]) -> tuple[Model, ...]:
    """The models of run and study folders, in order, each once.

    One that cannot be read has a `fault`. RunError (that of the first) if that holds for all of them.
    """
    paths: list[Path] = []
    faults: dict[Path, UserError] = {}
    for folder in folders:
        try:
            path = zoo.find(folder)
            paths += [path] if _is_run(path) else _chosen(path, faults)
        except UserError as error:
            paths.append(Path(folder))
            faults[Path(folder)] = error
    models = named_models(list(dict.fromkeys(paths)), faults)
    if faults and all(model.fault for model in models):
        raise next(iter(faults.values()))
    return models


def named_models(paths: Sequence[Path], faults: dict[Path, UserError] | None = None) -> tuple[Model, ...]:
    """The models of run folders, named after them; where two names are the same, the folder above is added.

    Args:
        faults: of folders that cannot be read; those that are found here are added.
    """
    faults = {} if faults is None else faults
    records = [_record(path, faults) for path in paths]
    manifests = [_manifest(path) for path in paths]
    labels = list(map(_label, paths, records, manifests))
    models = []
    known = zip(paths, _names(paths), labels, records, manifests, strict=True)
    for number, (path, name, label, record, manifest) in enumerate(known):
        identified = record or (manifest and manifest.identity)
        models.append(
            Model(
                name,
                path,
                label if labels.count(label) == 1 else f"{label} ({name})",
                number,
                squad_v2=manifest is not None and manifest.settings.squad_v2,
                language=manifest.settings.language if manifest is not None else None,
                record=record,
                method=identified.method if identified else "",
                fault=reason_of(faults[path]) if path in faults else "",
            )
        )
    return tuple(models)


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    whole = [path.resolve() for path in paths]
    for length in range(1, 1 + max((len(path.parts) for path in whole), default=1)):
        names = ["/".join(path.parts[-length:]) for path in whole]
        if len(set(names)) == len(names):
            return names
    return list(map(str, whole))


def _label(path: Path, record: RunRecord | None, manifest: Manifest | None) -> str:
    """The label of the method in the record, else in the registry, else the folder's name."""
    if record is not None:
        return record.label
    known = methods().get(manifest.identity.method) if manifest is not None else None
    return known.label if known is not None else path.resolve().name


def _manifest(path: Path) -> Manifest | None:
    """The manifest of a saved model, in its own folder or in that of its run; None if it cannot be read."""
    folder = saved_in(path)
    try:
        return read_manifest(folder) if folder is not None else None
    except RunError:
        return None  # loading reports the reason


def _record(path: Path, faults: dict[Path, UserError], *, required: bool = False) -> RunRecord | None:
    """The record of a run; None where it has none, which is a fault if it is required, or one that cannot be read."""
    if path in faults or not (required or os.path.lexists(path / RECORD)):
        return None
    try:
        return RunRecord.read(path)
    except UserError as error:
        faults[path] = error
        return None


def _is_run(path: Path) -> bool:
    return (path / RECORD).is_file() or (path / MANIFEST).is_file()


def _run_folders(study: Path) -> list[Path]:
    """The folders of a study's runs, also those whose record is damaged; RunError where `study.json` cannot be read."""
    if not (study / STUDY).is_file():
        return [folder.path for folder in runs_in(study)]
    runs = StudyRecord.read(study).runs
    return [
        study / run.folder for run in runs if run.status == "finished" or os.path.lexists(study / run.folder / RECORD)
    ]


def _finished(study: Path, faults: dict[Path, UserError]) -> list[tuple[Path, RunRecord]]:
    records = [(path, _record(path, faults, required=True)) for path in _run_folders(study)]
    return [(path, record) for path, record in records if record is not None and record.status == "finished"]


def _chosen(study: Path, faults: dict[Path, UserError]) -> list[Path]:
    """The finished run with the lowest seed of each method (and the floor) and encoder, in the study's order.

    What cannot be read comes last.
    """
    runs: dict[tuple[str, str, bool], list[tuple[Path, RunRecord]]] = {}
    unread: dict[Path, UserError] = {}
    for path, record in _finished(study, unread):
        runs.setdefault((record.method, record.model, record.trained), []).append((path, record))
    faults |= unread
    if unread and not runs:
        return list(unread)
    if not runs:
        raise RunError(
            "there is no finished run here",
            where=str(study),
            expected="a run folder, or a study folder with finished runs",
            found="no such folder" if not study.is_dir() else "neither",
            fix="name the --output of a finished `spantune train` or `spantune compare`",
        )
    return [*(min(alike, key=lambda run: run[1].seed)[0] for alike in runs.values()), *unread]
