"""`record.json`: everything needed to judge a run and to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from spantune.errors import RunError
from spantune.runs.atomic_files import finite, listing, write_json_atomic
from spantune.runs.digests import sealed
from spantune.runs.from_json import FORMAT, from_json, read_json
from spantune.runs.locks import RUN_LOCK, holder

RECORD = "record.json"
_WHAT = "run's record"
Status = Literal["running", "finished", "failed", "interrupted", "died"]
DIED = "its process ended without a last word, as by kill -9 or a power cut"
SETS = ("train", "selection", "reported")
"""A run's own sets; every other name is a further set's."""


@dataclass(frozen=True)
class DataRecord:
    """One of a run's sets."""

    sources: tuple[str, ...]
    """Sources as given on the command line."""
    fingerprint: str
    """SHA-256 over the examples' content."""
    examples: int
    """Questions that were kept."""
    windows: int | None = None
    """Windows cut from them."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Numbers of examples and windows that were dropped or repaired, by reason."""


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of weights while training."""

    trainable: int
    """Trainable weights, including the span head."""
    total: int
    """All weights, including the encoder."""
    head: int = 0
    """Weights of the span head."""

    @property
    def share(self) -> float:
        """Share of the weights that are trainable, 0 to 1."""
        return self.trainable / self.total if self.total else 0.0


@dataclass(frozen=True)
class Timings:
    """How long the parts of a run took; a resumed run adds them up."""

    train_seconds: float | None = None
    """Optimiser steps alone."""
    eval_seconds: float | None = None
    """Scoring the selection split and the reported set."""
    wall_seconds: float | None = None
    """From start to end, including loading."""
    examples_per_second: float | None = None
    """Training examples (with repetitions) divided by `train_seconds`."""


@dataclass(frozen=True)
class Best:
    """The evaluation on the selection split that chose the weights."""

    step: int
    """Optimiser steps done."""
    epoch: float
    """Passes over the training examples done."""
    f1: float | None
    """F1 on the selection split, 0 to 100; None if it was not scored."""


@dataclass(frozen=True)
class AnswerSpeed:
    """How fast the trained model answers, from text to text, on the machine that trained it or that a note names.

    Each is a median over repetitions, because other work on the machine slows some of them down.
    """

    latency_p50_ms: float
    """Milliseconds for a single question: median over the questions."""
    latency_p95_ms: float
    """The same, 95th percentile."""
    questions_per_second: float
    """Questions answered per second, in batches."""
    questions: int
    """Questions that were answered singly."""
    rounds: int
    """Repetitions, at most."""


@dataclass(frozen=True)
class RunRecord:
    """One training run. `dataclasses.replace` makes the next state, `write` puts it into the run folder."""

    status: Status
    """The file of a killed run says `running`, too; it is read as `died`, because no process holds the run's lock."""
    method: str
    """The method's name."""
    label: str
    """The method's name as it is usually written."""
    model: str
    """Encoder, as given on the command line."""
    seed: int
    """Seed of the initial weights, the order of examples, the splits and the samples."""
    command: tuple[str, ...] = ()
    """The command line that started the run."""
    reason: str | None = None
    """Why it failed or was interrupted."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Resolved settings by key."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The method's options, including defaults."""
    data: Mapping[str, DataRecord] = field(default_factory=dict)
    """The sets: `train`, `selection`, `reported`, further ones by name."""
    teachers: Mapping[str, str] = field(default_factory=dict)
    """The digest of each teacher's model, by name; it changes if the teacher is trained again."""
    started_from: Mapping[str, str] = field(default_factory=dict)
    """By name the digest of the run that `start_from` names."""
    began_with: str | None = None
    """Digest of the run that `model` names; None if it names an encoder."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Python and packages."""
    device: str | None = None
    """Device: `cpu`, `cuda`, `mps`."""
    precision: str | None = None
    """Arithmetic of the forward pass: `float32`, `bfloat16`, `float16`."""
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """See `environment.hardware`."""
    git: Mapping[str, Any] | None = None
    """`commit` and `dirty` of the spantune checkout; None for an installed package."""
    code: str | None = None
    """Digest of the spantune sources that can change the run's numbers."""
    parameters: ParameterCount | None = None
    adapter_bytes: int | None = None
    """Size of the saved weights on disk."""
    timings: Timings = Timings()
    peak_memory_bytes: int | None = None
    """Peak memory of the process."""
    peak_gpu_memory_bytes: int | None = None
    """Peak GPU memory of tensors; None without a GPU."""
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """By set (`selection`, `reported`, further ones by name): `em` and `f1`, 0 to 100, and what else was scored."""
    answering: Mapping[str, AnswerSpeed] = field(default_factory=dict)
    """By form of the model: `unmerged`, and `merged` if the adapter can be merged into the encoder's weights."""
    best: Best | None = None
    """The evaluation that chose the weights; None before the first one."""
    steps: int = 0
    """Optimiser steps done."""
    notes: tuple[str, ...] = ()
    """Warnings and counts that matter for reading the numbers."""
    started_at: str | None = None
    """ISO 8601, UTC."""
    finished_at: str | None = None
    """ISO 8601, UTC; also of a failed or interrupted run."""
    resumed: int = 0
    """Number of times it was resumed."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the answers, the history and the model's description, by name; older runs have none."""

    @property
    def scored_on(self) -> str | None:
        """The set whose scores count: `reported`, else `selection`, else None."""
        return next((name for name in ("reported", "selection") if self.metrics.get(name)), None)

    @property
    def trained(self) -> bool:
        """Whether it learned anything; the floor of a study, with no epochs, did not."""
        return self.config.get("epochs") != 0 or bool(self.started_from)

    @property
    def language(self) -> str | None:
        """Of MLQA's rules, by which it was scored; None for the official rule."""
        return self.config.get("language")

    def metric(self, name: str) -> float | None:
        """A metric (`em`, `f1`) on the set `scored_on`; None if there is none."""
        return self.metrics[self.scored_on].get(name) if self.scored_on else None

    @property
    def serving(self) -> AnswerSpeed | None:
        """The speed in the form in which the model is used: merged if possible; None if it was not measured."""
        return self.answering.get("merged") or self.answering.get("unmerged")

    @property
    def further(self) -> tuple[str, ...]:
        """Names of the further sets that were scored (`--also-evaluate`)."""
        return tuple(name for name in self.metrics if name not in SETS)

    def to_json(self) -> dict[str, Any]:
        """The content of record.json; NaN and infinities are null."""
        content = finite({"format": FORMAT, **asdict(self)})
        if self.parameters is not None:
            content["parameters"]["share"] = self.parameters.share  # for other readers of the file
        return cast(dict[str, Any], content)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str = RECORD) -> RunRecord:
        """The record in `to_json`'s result; RunError as of `from_json.from_json`."""
        return from_json(cls, content, _WHAT, where)

    def write(self, folder: Path) -> None:
        """Write `folder`/record.json, whole or not at all; RunError if that fails."""
        write_json_atomic(folder / RECORD, sealed(self.to_json()))

    @classmethod
    def read_if_there(cls, folder: Path) -> RunRecord | None:
        """The record of a run folder; None if there is none, RunError if it is broken or cannot be read.

        That of a run whose process has died says so.
        """
        record = cls._read(folder)
        if record is None or record.status != "running" or holder(folder / RUN_LOCK) is not None:
            return record
        record = cls._read(folder)  # it may have ended since
        if record is None or record.status != "running":
            return record
        return replace(record, status="died", reason=DIED)

    @classmethod
    def _read(cls, folder: Path) -> RunRecord | None:
        path = folder / RECORD
        try:
            return cls.from_json(read_json(path, _WHAT), str(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """The record of a run folder; RunError if there is none or it is broken."""
        record = cls.read_if_there(folder)
        if record is None:
            raise RunError(
                "there is no run here",
                where=str(folder),
                expected=f"a folder with {RECORD}",
                found=listing(folder),
                fix="name the run folder that `spantune train` wrote (its --output)",
            )
        return record


def utc_now() -> str:
    """The current time, for `started_at` and `finished_at`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parameters_of(record: RunRecord) -> dict[str, Any]:
    """What a tracking server lists: settings, the method's options and the size of what learns."""
    settings = {key: value for key, value in record.config.items() if key != "options"}
    options = {f"{record.method}.{key}": value for key, value in record.options.items()}
    counted = record.parameters
    sizes = {"trainable_parameters": counted.trainable, "total_parameters": counted.total} if counted else {}
    return {**settings, **options, **sizes}
