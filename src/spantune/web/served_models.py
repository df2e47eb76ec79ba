"""What is served: the runs in the folders that a user names, each with a name of its own, and their panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spantune import zoo
from spantune.config import PredictorConfig
from spantune.errors import RunError
from spantune.methods import methods
from spantune.runs import RunRecord
from spantune.runs.manifest import MANIFEST, Manifest, read_manifest, saved_in
from spantune.runs.record import RECORD
from spantune.studies.report import runs_in
from spantune.web.models import Model

if TYPE_CHECKING:
    from spantune.answering import Panel

DEMO = Path("studies/demo")


@dataclass(frozen=True)
class Runs:
    """Models in the folders of runs."""

    models: tuple[Model, ...]
    config: PredictorConfig

    def load(self) -> Panel:
        """All models on one panel; raises as `Predictor.load`."""
        from spantune.answering import Panel, Predictor

        return Panel((model.name, Predictor.load(model.folder, self.config)) for model in self.models)


def what_to_serve(named: Sequence[str]) -> tuple[str, ...]:
    """The named folders (`zoo` for all of it), else the demo, else the zoo; RunError if there is none."""
    folders = zoo.each(named) or ((str(DEMO),) if _finished(DEMO) else zoo.names())
    if not folders:
        raise RunError(
            "there is no model to serve",
            expected=f"run or study folders, or {DEMO} in this folder",
            found="neither",
            fix="`make demo` trains several methods in minutes; `spantune train` trains one",
        )
    return folders


def studies_in(folders: Sequence[str]) -> tuple[Path, ...]:
    """Those of the folders that are studies."""
    return tuple(path for path in map(zoo.find, folders) if not _is_run(path) and runs_in(path))


def models_in(folders: Sequence[str]) -> tuple[Model, ...]:
    """The models of run and study folders, in order, each once; RunError if a folder has none."""
    paths = [path for folder in map(zoo.find, folders) for path in ([folder] if _is_run(folder) else _chosen(folder))]
    return named_models(list(dict.fromkeys(paths)))


def named_models(paths: Sequence[Path]) -> tuple[Model, ...]:
    """The models of run folders, named after them; where two names are the same, the folder above is added."""
    records = [RunRecord.read(path) if (path / RECORD).is_file() else None for path in paths]
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


def _is_run(path: Path) -> bool:
    return (path / RECORD).is_file() or (path / MANIFEST).is_file()


def _finished(study: Path) -> list[tuple[Path, RunRecord]]:
    records = [(folder.path, RunRecord.read(folder.path)) for folder in runs_in(study)]
    return [(path, record) for path, record in records if record.status == "finished"]


def _chosen(study: Path) -> list[Path]:
    """The finished run with the lowest seed of each method (and the floor) and encoder, in the study's order."""
    runs: dict[tuple[str, str, bool], list[tuple[Path, RunRecord]]] = {}
    for path, record in _finished(study):
        runs.setdefault((record.method, record.model, record.trained), []).append((path, record))
    if not runs:
        raise RunError(
            "there is no finished run here",
            where=str(study),
            expected="a run folder, or a study folder with finished runs",
            found="no such folder" if not study.is_dir() else "neither",
            fix="name the --output of a finished `spantune train` or `spantune compare`",
        )
    return [min(alike, key=lambda run: run[1].seed)[0] for alike in runs.values()]
