"""`record.json`: everything needed to judge a run and to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from spantune.errors import RunError
from spantune.runs.atomic_files import finite, listing, write_json_atomic
from spantune.runs.from_json import FORMAT, from_json, read_json

RECORD = "record.json"
_WHAT = "run's record"
Status = Literal["running", "finished", "failed", "interrupted"]
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
    """Questions kept."""
    windows: int | None = None
    """Windows that they were cut into."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Examples and windows left out or mended, by reason."""


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of weights while training."""

    trainable: int
    """Those that learn, span head included."""
    total: int
    """All, encoder included."""
    head: int = 0
    """Those of the span head."""

    @property
    def share(self) -> float:
        """Trainable among all, 0 to 1."""
        return self.trainable / self.total if self.total else 0.0


@dataclass(frozen=True)
class Timings:
    """Where the time went; a resumed run adds up its parts."""

    train_seconds: float | None = None
    """Optimiser steps alone."""
    eval_seconds: float | None = None
    """Scoring the selection split and the reported set."""
    wall_seconds: float | None = None
    """From start to end, loading included."""
    examples_per_second: float | None = None
    """Training examples (with repetitions) by `train_seconds`."""


@dataclass(frozen=True)
class Best:
    """The evaluation on the selection split whose weights were kept."""

    step: int
    """Optimiser steps done."""
    epoch: float
    """Passes over the training examples done."""
    f1: float | None
    """F1 on the selection split, 0 to 100; None where it was not scored."""


@dataclass(frozen=True)
class AnswerSpeed:
    """How fast the trained model answers, from text to text, on the machine that trained it or that a note names.

    Questions are answered several times and the median counts, since other work on the machine slows some down.
    """

    latency_p50_ms: float
    """Milliseconds for a question by itself: median over the questions."""
    latency_p95_ms: float
    """The same: 95th percentile over the questions."""
    questions_per_second: float
    """Questions answered in a second, in batches."""
    questions: int
    """Questions that were answered by themselves."""
    rounds: int
    """How often, at most."""


@dataclass(frozen=True)
class RunRecord:
    """One training run. `dataclasses.replace` makes the next state, `write` puts it into the run folder."""

    status: Status
    """`running` also stays in the record of a run that was killed."""
    method: str
    """The method's name."""
    label: str
    """The method's name as people write it."""
    model: str
    """Encoder as given on the command line."""
    seed: int
    """Seeds initial weights, order, splits and limits."""
    command: tuple[str, ...] = ()
    """Command line that started the run."""
    reason: str | None = None
    """Why it failed or was interrupted."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Resolved settings by key."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The method's options, defaults included."""
    data: Mapping[str, DataRecord] = field(default_factory=dict)
    """The sets: `train`, `selection`, `reported`, further ones by name."""
    teachers: Mapping[str, str] = field(default_factory=dict)
    """By name the digest of each teacher's model: trained again, it is another."""
    started_from: Mapping[str, str] = field(default_factory=dict)
    """By name the digest of the run that `start_from` names."""
    began_with: str | None = None
    """Digest of the run that `model` names; None where it names an encoder."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Python and packages."""
    device: str | None = None
    """Where it ran: `cpu`, `cuda`, `mps`."""
    precision: str | None = None
    """Arithmetic of the forward pass: `float32`, `bfloat16`, `float16`."""
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """See `environment.hardware`."""
    git: Mapping[str, Any] | None = None
    """`commit` and `dirty` of the spantune checkout; None where it runs from an installed package."""
    code: str | None = None
    """Digest of the sources of spantune that can touch the run's numbers."""
    parameters: ParameterCount | None = None
    adapter_bytes: int | None = None
    """Weights of the saved model on disk."""
    timings: Timings = Timings()
    peak_memory_bytes: int | None = None
    """Most memory that the process held at once."""
    peak_gpu_memory_bytes: int | None = None
    """Most GPU memory that tensors held at once; None without a GPU."""
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """By set (`selection`, `reported`, further ones by name): `em` and `f1`, 0 to 100, and what else was scored."""
    answering: Mapping[str, AnswerSpeed] = field(default_factory=dict)
    """By form of the model: `unmerged`, and `merged` where the encoder's weights can take the adapter in."""
    best: Best | None = None
    """Where the kept weights come from; None before the first evaluation."""
    steps: int = 0
    """Optimiser steps done."""
    notes: tuple[str, ...] = ()
    """Warnings and counts that a reader of the numbers must know."""
    started_at: str | None = None
    """ISO 8601, UTC."""
    finished_at: str | None = None
    """ISO 8601, UTC; also of a failed or interrupted run."""
    resumed: int = 0
    """How often it was resumed."""

    @property
    def scored_on(self) -> str | None:
        """The set whose scores count: `reported`, else `selection`, else None."""
        return next((name for name in ("reported", "selection") if self.metrics.get(name)), None)

    @property
    def trained(self) -> bool:
        """Whether it knows more than the encoder: not where it had no epochs, as the floor of a study."""
        return self.config.get("epochs") != 0 or bool(self.started_from)

    @property
    def language(self) -> str | None:
        """Of MLQA's rules, by which it was scored; None for the official rule."""
        return self.config.get("language")

    def metric(self, name: str) -> float | None:
        """A metric (`em`, `f1`) on the set `scored_on`; None where there is none."""
        return self.metrics[self.scored_on].get(name) if self.scored_on else None

    @property
    def serving(self) -> AnswerSpeed | None:
        """The speed in the form in which one would use the model: merged where it can be; None where not measured."""
        return self.answering.get("merged") or self.answering.get("unmerged")

    @property
    def further(self) -> tuple[str, ...]:
        """Names of the further sets that were scored (`--also-evaluate`)."""
        return tuple(name for name in self.metrics if name not in SETS)

    def to_json(self) -> dict[str, Any]:
        """The content of record.json; NaN and infinities are null."""
        content = finite({"format": FORMAT, **asdict(self)})
        if self.parameters is not None:
            content["parameters"]["share"] = self.parameters.share  # for those who read the file without us
        return cast(dict[str, Any], content)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str = RECORD) -> RunRecord:
        """The record in `to_json`'s result; RunError as of `from_json.from_json`."""
        return from_json(cls, content, _WHAT, where)

    def write(self, folder: Path) -> None:
        """Write `folder`/record.json, whole or not at all; RunError where that fails."""
        write_json_atomic(folder / RECORD, self.to_json())

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """The record of a run folder; RunError where there is none or it is broken."""
        path = folder / RECORD
        try:
            return cls.from_json(read_json(path, _WHAT), str(path))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                "there is no run here",
                where=str(folder),
                expected=f"a folder with {RECORD}",
                found=listing(folder),
                fix="name the run folder that `spantune train` wrote (its --output)",
            ) from None


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
