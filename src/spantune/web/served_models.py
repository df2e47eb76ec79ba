"""What is served: the runs behind what a user names, each with a name of its own, and the panel made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spantune import zoo
from spantune.config import DecodeConfig, PredictorConfig
from spantune.errors import RunError
from spantune.methods import methods
from spantune.runs import RunRecord
from spantune.runs.manifest import MANIFEST, Manifest, read_manifest, saved_in
from spantune.runs.record import RECORD
from spantune.studies.report import runs_in
from spantune.web.model_colours import look_of

if TYPE_CHECKING:
    from spantune.data import Example

DEMO = Path("studies/demo")


@dataclass(frozen=True)
class Model:
    """One of the models that answer.

    Attributes:
        name: as the API calls it; never the same twice. folder: of the run, or of its adapter.
        label: the method as people write it. number: its place among the models.
        squad_v2: whether it may answer nothing. record: of its run; None for an adapter without one.
        method: its name; "" where nothing says it. place: that of its colour and pattern; default: its number.
    """

    name: str
    folder: Path
    label: str
    number: int
    squad_v2: bool = False
    record: RunRecord | None = None
    method: str = ""
    place: int | None = None

    @property
    def look(self) -> str:
        """The class of its marks in the style sheet."""
        return look_of(self.number if self.place is None else self.place)


class Answering(Protocol):
    """What the app asks of a panel (`spantune.answering.model_panel.Panel`)."""

    def answer(
        self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best, names: Sequence[str] | None = None
    ) -> Mapping[str, Any]: ...

    def inside(self, example: Example, *, names: Sequence[str] | None = None) -> Mapping[str, Any]: ...


class PanelSource(Protocol):
    """The models that are served, known before they are loaded."""

    @property
    def models(self) -> tuple[Model, ...]: ...

    def load(self) -> Answering: ...


@dataclass(frozen=True)
class Runs:
    """Models in the folders of runs."""

    models: tuple[Model, ...]
    config: PredictorConfig

    def load(self) -> Answering:
        """All of them on one panel; raises as `Predictor.load`."""
        from spantune.answering import Panel, Predictor

        return Panel((one.name, Predictor.load(one.folder, self.config)) for one in self.models)


def what_to_serve(named: Sequence[str]) -> tuple[str, ...]:
    """The folders that were named (`zoo` for all of it), else the demo, else the zoo; RunError without any."""
    found = zoo.each(named) or ((str(DEMO),) if _finished(DEMO) else zoo.names())
    if not found:
        raise RunError(
            "there is no model to serve",
            expected=f"run or study folders, or {DEMO} in this folder",
            found="neither",
            fix="`make demo` trains several methods in minutes; `spantune train` trains one",
        )
    return found


def studies_in(folders: Sequence[str]) -> tuple[Path, ...]:
    """Those of the folders that are studies."""
    return tuple(path for path in map(zoo.find, folders) if not _is_run(path) and runs_in(path))


def models_in(folders: Sequence[str]) -> tuple[Model, ...]:
    """The models of run and study folders, in order, each once; RunError where a folder has none."""
    found = map(zoo.find, folders)
    paths = [path for one in found for path in ([one] if _is_run(one) else _chosen(one))]
    return named_models(list(dict.fromkeys(paths)))


def named_models(paths: Sequence[Path]) -> tuple[Model, ...]:
    """The models of run folders: named after them, and where two are called alike with the folder before."""
    records = [_record(path) for path in paths]
    labels = Counter(_label(path, record) for path, record in zip(paths, records, strict=True))
    found = []
    for number, (path, record, name) in enumerate(zip(paths, records, _names(paths), strict=True)):
        label = _label(path, record)
        manifest = _manifest(path)
        v2 = manifest is not None and manifest.settings.squad_v2
        identified = record or (manifest.identity if manifest is not None else None)
        method = identified.method if identified is not None else ""
        shown = label if labels[label] == 1 else f"{label} ({name})"
        found.append(Model(name, path, shown, number, v2, record, method))
    return tuple(found)


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    whole = [path.resolve() for path in paths]
    for parts in range(1, 1 + max((len(path.parts) for path in whole), default=1)):
        names = ["/".join(path.parts[-parts:]) for path in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in whole]


def _label(path: Path, record: RunRecord | None) -> str:
    """The method as people write it; without a record as the registry does, and of an unknown one the folder's name."""
    if record is not None:
        return record.label
    manifest = _manifest(path)
    known = methods().get(manifest.identity.method) if manifest is not None else None
    return known.label if known is not None else path.resolve().name


def _manifest(path: Path) -> Manifest | None:
    """That of a saved model, in its own folder or in that of its run; None where it cannot be read."""
    folder = saved_in(path)
    try:
        return read_manifest(folder) if folder is not None else None
    except RunError:
        return None  # loading refuses it, with the reason


def _is_run(path: Path) -> bool:
    return (path / RECORD).is_file() or (path / MANIFEST).is_file()


def _record(path: Path) -> RunRecord | None:
    return RunRecord.read(path) if (path / RECORD).is_file() else None


def _finished(study: Path) -> list[tuple[Path, RunRecord]]:
    records = ((one.path, RunRecord.read(one.path)) for one in runs_in(study))
    return [(path, record) for path, record in records if record.status == "finished"]


def _chosen(study: Path) -> list[Path]:
    """Of each method (and the floor) and encoder the finished run with the lowest seed, in the study's order."""
    chosen: dict[tuple[str, str, bool], tuple[int, Path]] = {}
    for path, record in _finished(study):
        key = (record.method, record.model, record.trained)
        if key not in chosen or record.seed < chosen[key][0]:
            chosen[key] = (record.seed, path)
    if not chosen:
        raise RunError(
            "there is no finished run here",
            where=str(study),
            expected="a run folder, or a study folder with finished runs",
            found="no such folder" if not study.is_dir() else "neither",
            fix="name the --output of a finished `spantune train` or `spantune compare`",
        )
    return [path for _, path in chosen.values()]
