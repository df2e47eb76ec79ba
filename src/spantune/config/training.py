"""The settings of a training run, in groups, and the checks that all groups share."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, get_args

from spantune.config.languages import LANGUAGES
from spantune.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Labels = Literal["first", "all"]
Rows = Literal["joined", "separate"]
ScoringRule = Literal["squad", "mlqa"]
BUNDLED = "minilm"
"""The name of the encoder that comes with the package, and the default wherever one is named."""


@dataclass(frozen=True)
class Allowed:
    """The values that a setting may have, as metadata of its type: `Annotated[int, Allowed(...)]`."""

    expected: str
    holds: Callable[[Any], bool]

    def problem(self, key: str, value: Any) -> str | None:
        return check(value is None or self.holds(value), key, self.expected, value)


SEED = Allowed(f"0 to {2**32 - 1}", lambda value: 0 <= value < 2**32)  # what NumPy and the Trainer accept
Count = Annotated[int, Allowed("1 or more", lambda value: value >= 1)]
Seed = Annotated[int, SEED]
Share = Annotated[float, Allowed("0 to below 1", lambda value: 0 <= value < 1)]
NotNegative = Annotated[float, Allowed("0 or more", lambda value: value >= 0)]
AboveZero = Annotated[float, Allowed("above 0", lambda value: value > 0)]
Folder = Annotated[str, Allowed("a folder", lambda value: bool(value.strip()))]


def once(what: str) -> Allowed:
    """Several values, none of them twice."""
    return Allowed(f"each {what} once", lambda values: len(set(values)) == len(values))


def check(ok: bool, key: str, expected: str, found: object) -> str | None:
    """A line for `ConfigError` if a value is not allowed."""
    return None if ok else f"{_dashed(key)}: expected {expected}, found {found!r}"


def _dashed(key: str) -> str:
    return key.replace("_", "-")


@dataclass(frozen=True)
class ConfigGroup:
    """Base of all groups of settings. Creating one checks all values and reports all problems together."""

    def __post_init__(self) -> None:
        for setting in fields(self):  # notebooks and JSON give lists
            if isinstance(value := getattr(self, setting.name), list):
                object.__setattr__(self, setting.name, tuple(value))
        config: Any = type(self)
        problems = [allowed.problem(key, getattr(self, key)) for key, allowed in _allowed(config).items()]
        for setting in fields(self):
            value = getattr(self, setting.name)
            problems.append(check(value == value, setting.name, "a number", value))  # NaN differs from itself
        for group in config.__mro__:
            if "problems" in vars(group):
                problems += vars(group)["problems"](self)
        if lines := list(filter(None, problems)):
            raise ConfigError("the configuration is not valid:\n  " + "\n  ".join(lines))

    def as_dict(self) -> dict[str, Any]:
        """All resolved values under their keys, ready for JSON or YAML."""
        return {setting.name: _plain(getattr(self, setting.name)) for setting in fields(self)}


@cache
def _allowed(config: type[Any]) -> Mapping[str, Allowed]:
    """By field, the metadata of its type, or of `T` in `T | None`."""
    return {
        name: metadata
        for name, hint in typing.get_type_hints(config, include_extras=True).items()
        for member in (hint, *typing.get_args(hint))
        for metadata in getattr(member, "__metadata__", ())
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


@dataclass(frozen=True)
class ReadConfig(ConfigGroup):
    """How the rows of flat files and hub sets are read."""

    columns: tuple[str, ...] = ()
    """Names of your columns for flat files and hub sets: `question=frage context=text answer=antwort`."""
    rows: Rows = "joined"
    """Whether rows with one answer each on the same question and context are one question with several accepted
    answers; `separate` keeps each row a question of its own."""


@dataclass(frozen=True)
class DataConfig(ReadConfig):
    """Which examples are used for training, for selecting a checkpoint and for reporting."""

    data: Annotated[tuple[str, ...], Allowed("at least one source", bool)] = ("sample",)
    """Training sources: `sample`, `sample-v2`, a file (JSON, JSONL, CSV, Parquet), a `save_to_disk` folder or a hub
    name (`squad`). `SOURCE*2` counts a source twice, `SOURCE*0.5` takes a seeded half of it."""
    eval_data: tuple[str, ...] = ()
    """The reported set, used once at the end. Default: the validation split of the training sources, if they have
    one."""
    squad_v2: bool = False
    """Allow questions without an answer (SQuAD v2.0) and let the model abstain."""
    selection_fraction: Share = 0.1
    """Share of the training contexts set aside to choose the best checkpoint (never the reported set)."""
    max_train_examples: Count | None = None
    """Use at most this many training examples (a seeded sample), including the selection split."""
    max_eval_examples: Count | None = None
    """Report on at most this many examples; the sample is the same for every seed."""
    score_reported: bool = True
    """Score the reported set at the end. The runs of a sweep never read it."""
    repair: bool = False
    """Repair or drop the defects that `spantune doctor` finds in the training data, instead of refusing to train."""
    allow_unsayable: bool = False
    """Train even if the model cannot say more than 2% of a set's answers: they are longer than `--max-answer-length`,
    or begin or end inside a token."""


@dataclass(frozen=True)
class WindowConfig(ConfigGroup):
    """How a long context is cut into windows."""

    max_length: Annotated[int, Allowed("16 tokens or more", lambda value: value >= 16)] = 384
    """Tokens in a window, including the question and special tokens."""
    doc_stride: int = 128
    """Context tokens shared by two neighbouring windows."""

    def problems(self) -> Iterable[str | None]:
        return [check(0 <= self.doc_stride < self.max_length, "doc_stride", "0 to below max-length", self.doc_stride)]


@dataclass(frozen=True)
class DecodeConfig(ConfigGroup):
    """How logits become answers."""

    max_answer_length: Count = 30
    """Longest answer in tokens."""
    n_best: Count = 20
    """Candidates kept for each question."""
    eval_batch_size: Count = 32
    """Windows in a batch during evaluation."""


@dataclass(frozen=True)
class ScoringConfig(ConfigGroup):
    """How answers are compared with the accepted ones, for EM and F1."""

    scoring: ScoringRule = "squad"
    """`squad`: as the official scorers do, which is right for English; `mlqa`: with the articles, the punctuation and
    the tokens of `language`, as MLQA's scorer does."""
    language: str | None = None
    """Language of the answers, for `--scoring mlqa`: `es`, `zh`."""

    def problems(self) -> Iterable[str | None]:
        known = f"one of {', '.join(LANGUAGES)} (for --scoring mlqa)"
        problems = [check(self.scoring in get_args(ScoringRule), "scoring", "squad or mlqa", self.scoring)]
        if self.scoring != "mlqa" and self.language is not None:
            problems.append(f"language: given ({self.language}), but it is for --scoring mlqa")
        elif self.scoring == "mlqa" and self.language not in LANGUAGES:
            found = "nothing" if self.language is None else repr(self.language)
            problems.append(f"language: expected {known}, found {found}")
        return problems


@dataclass(frozen=True)
class DeviceConfig(ConfigGroup):
    """The hardware and arithmetic that the encoder runs on."""

    device: Device = "auto"
    """Where the encoder runs; `auto` uses a GPU if there is one."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass; `auto` is bf16 if the hardware supports it, else fp32."""


@dataclass(frozen=True)
class EncoderConfig(DeviceConfig):
    """Which encoder is fine-tuned."""

    model: str = BUNDLED
    """`minilm` (bundled), a hub name (`bert-base-uncased`) or a folder; or a finished run: its encoder with the
    adapter merged."""
    dropout: Share = 0.0
    """Dropout on hidden states during training."""
    attention_dropout: Share = 0.0
    """Dropout on attention weights during training. Above 0, a CPU cannot use the fused attention kernels."""


@dataclass(frozen=True)
class OptimiserConfig(ConfigGroup):
    """How the trainable parameters are optimised."""

    learning_rate: Annotated[float | None, Allowed("above 0 and below 10", lambda value: 0 < value < 10)] = None
    """Peak learning rate; default: the method's own (`spantune methods`)."""
    epochs: NotNegative = 3.0
    """Passes over the training examples; 0 scores the model without training it."""
    batch_size: Count = 8
    """Windows in a micro-batch."""
    max_batch_tokens: Count = 8192
    """Tokens in one forward pass, including padding; a larger batch is split into parts, with the same gradient."""
    gradient_accumulation: Count = 1
    """Micro-batches in one optimiser step."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time, the same gradients."""
    warmup_ratio: Share = 0.1
    """Share of the steps over which the learning rate rises linearly from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """What the learning rate does after the warm-up."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay (AdamW)."""
    max_grad_norm: NotNegative = 1.0
    """Clip gradients to this norm; 0 disables clipping."""
    labels: Labels = "all"
    """Which accepted answers are the target: the `first`, or `all` of them with equal shares."""
    seed: Seed = 0
    """Seed of the initial weights, the order of examples, the splits and the samples."""


@dataclass(frozen=True)
class TeacherConfig(ConfigGroup):
    """Knowledge distillation: the probabilities of finished runs are a second target beside the accepted answers."""

    teachers: Annotated[tuple[str, ...], once("run")] = ()
    """Finished runs with the same tokenizer, such as `runs/full-0` or `zoo/lora`; the target is the mean of their
    probabilities."""
    teacher_weight: Annotated[float, Allowed("above 0, at most 1", lambda value: 0 < value <= 1)] = 0.5
    """The teachers' share of the loss; the accepted answers get the rest."""
    teacher_temperature: AboveZero = 2.0
    """Divides the logits of teachers and student in that loss: the higher, the more unlikely spans count."""

    def problems(self) -> Iterable[str | None]:
        for setting in fields(TeacherConfig):
            if not self.teachers and getattr(self, setting.name) != setting.default:
                yield f"{_dashed(setting.name)}: needs --teachers"


@dataclass(frozen=True)
class StartConfig(ConfigGroup):
    """The finished run that a run continues, instead of beginning with the untrained method."""

    start_from: tuple[str, ...] = ()
    """A finished run of the same encoder. If method and options are the same, its adapter is trained on. If not, the
    run begins with what it changed in the encoder's weights, as far as the method can hold it; with `--epochs 0` that
    is the result."""

    def problems(self) -> Iterable[str | None]:
        if len(self.start_from) > 1:  # a tuple, because earlier versions averaged several
            raise ConfigError(
                "a run cannot start from several runs",
                where="start-from",
                expected="one finished run",
                found=", ".join(self.start_from),
                fix="name the best of them; --teachers learns from several",
            )
        return []


@dataclass(frozen=True)
class TrackingConfig(ConfigGroup):
    """What is recorded outside the run folder."""

    mlflow: bool = True
    """Mirror the run in MLflow."""
    tracking_uri: str | None = None
    """MLflow server or store; default: the environment's `MLFLOW_TRACKING_URI`, else a SQLite file beside the runs."""
    experiment: str = "spantune"
    """MLflow experiment."""
    parent_run: str | None = None
    """MLflow run below which this run is listed; a study sets it for its runs."""


@dataclass(frozen=True)
class AfterwardsConfig(ConfigGroup):
    """What is measured besides EM and F1 once the model is trained. For these a finished run is not trained again."""

    also_evaluate: Annotated[tuple[str, ...], once("set")] = ()
    """Further sets to score once at the end: sources as in `--eval-data` (at most `max_eval_examples` of each)."""
    semantic: bool = False
    """Also compare answers by meaning: count those that EM rejects and a sentence encoder accepts."""
    cost_seconds: NotNegative | None = None
    """Seconds to spend on measuring the answering speed, unmerged and merged; 0 skips it. Default: a fiftieth of the
    training time, from 1 to 20 seconds."""


@dataclass(frozen=True)
class RunConfig(
    DataConfig,
    WindowConfig,
    DecodeConfig,
    ScoringConfig,
    EncoderConfig,
    OptimiserConfig,
    TeacherConfig,
    StartConfig,
    TrackingConfig,
    AfterwardsConfig,
):
    """The settings that `train` and `compare` share: all of a run's, except its method."""

    evals_per_epoch: Count = 1
    """Evaluations on the selection split per epoch."""
    early_stopping: Count | None = None
    """Stop after this many evaluations without a better F1; default: never."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints: the most work that a crash can lose."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of a finished run."""

    def problems(self) -> Iterable[str | None]:
        if self.early_stopping is not None and self.selection_fraction <= 0:
            yield "early-stopping: needs a selection split; set selection-fraction above 0"


BOOKKEEPING = frozenset(
    (
        *("output", "resume", "overwrite", "checkpoint_seconds", "keep_checkpoints"),
        *("mlflow", "tracking_uri", "experiment", "parent_run"),
        *("max_batch_tokens", "eval_batch_size", "allow_unsayable"),
    )
)
"""Settings that say where a run is stored and in what portions it is computed: other values give the same run.

They change numbers only by rounding. (With dropout, other portions draw other random numbers from the same
distribution.)
"""
AFTERWARDS = frozenset(setting.name for setting in fields(AfterwardsConfig))
"""Settings of what is measured once a model is trained: other values measure more of the same run."""


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Fine-tune an encoder with one method; the run folder holds everything about it."""

    method: str = "lora"
    """How the encoder is fine-tuned (`spantune methods` lists the methods)."""
    output: Folder = "runs/{method}-{seed}"
    """Run folder; `{method}`, `{model}` and `{seed}` are filled in."""
    resume: bool = False
    """Continue from the last checkpoint of an interrupted run in the output folder."""
    overwrite: bool = False
    """Replace the run that the output folder holds."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The method's own options by name (flags: `--lora.rank 16`)."""
