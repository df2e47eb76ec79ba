"""The settings of a training run, in groups, and the checks that all groups share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from spantune.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Labels = Literal["first", "all"]
BUNDLED = "minilm"
"""The name of the encoder that comes with the package, and the default wherever one is named."""


def check(ok: bool, key: str, expected: str, found: object) -> str | None:
    """A line for `ConfigError` where a value is out of its range."""
    return None if ok else f"{_flag(key)}: expected {expected}, found {found!r}"


def check_seed(seed: int, key: str = "seed") -> str | None:
    """A line for `ConfigError` where NumPy, and with it the Trainer, cannot take the number as a seed."""
    return check(0 <= seed < 2**32, key, f"0 to {2**32 - 1}", seed)


def _flag(key: str) -> str:
    return key.replace("_", "-")


@dataclass(frozen=True)
class Checked:
    """Base of all groups: collects the problems of every inherited group and reports them together."""

    def __post_init__(self) -> None:
        for one in fields(self):  # as a notebook or JSON gives several values
            if isinstance(value := getattr(self, one.name), list):
                object.__setattr__(self, one.name, tuple(value))
        found: list[str] = []
        for group in type(self).__mro__:
            if "problems" in vars(group):
                found += [problem for problem in vars(group)["problems"](self) if problem]
        if found:
            raise ConfigError("the configuration is not valid:\n  " + "\n  ".join(found))

    def as_dict(self) -> dict[str, Any]:
        """All resolved values under their keys, ready for JSON or YAML."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


@dataclass(frozen=True)
class DataConfig(Checked):
    """Which examples are read, and which of them train, select and report."""

    data: tuple[str, ...] = ("sample",)
    """Training sources: `sample`, `sample-v2`, a file (JSON, JSONL, CSV, Parquet), a `save_to_disk` folder or a hub
    name (`squad`). `SOURCE*2` counts a source twice, `SOURCE*0.5` takes a seeded half of it."""
    eval_data: tuple[str, ...] = ()
    """The reported set, touched once at the end. Default: the validation split of the training sources, where they have
    one."""
    columns: tuple[str, ...] = ()
    """Names of your columns for flat files and hub sets: `question=frage context=text answer=antwort`."""
    squad_v2: bool = False
    """Allow questions without an answer (SQuAD v2.0) and let the model answer nothing."""
    selection_fraction: float = 0.1
    """Share of the training contexts carved off to choose the best checkpoint (never the reported set)."""
    max_train_examples: int | None = None
    """Keep at most so many training examples (seeded), the selection split included."""
    max_eval_examples: int | None = None
    """Report on at most so many examples, a random choice that is the same whatever the seed."""
    score_reported: bool = True
    """Score the reported set at the end. A run that only helps to choose a setting never reads it."""
    repair: bool = False
    """Mend or drop what `spantune doctor` finds in the training data, and count it, instead of refusing."""

    def problems(self) -> list[str | None]:
        return [
            check(bool(self.data), "data", "at least one source", self.data),
            check(0 <= self.selection_fraction < 1, "selection_fraction", "0 to below 1", self.selection_fraction),
            check(
                self.max_train_examples is None or self.max_train_examples > 0,
                "max_train_examples",
                "1 or more",
                self.max_train_examples,
            ),
            check(
                self.max_eval_examples is None or self.max_eval_examples > 0,
                "max_eval_examples",
                "1 or more",
                self.max_eval_examples,
            ),
        ]


@dataclass(frozen=True)
class WindowConfig(Checked):
    """How a long context is cut into windows."""

    max_length: int = 384
    """Tokens of a window, question and special tokens included."""
    doc_stride: int = 128
    """Context tokens that two neighbouring windows share."""

    def problems(self) -> list[str | None]:
        return [
            check(self.max_length >= 16, "max_length", "16 tokens or more", self.max_length),
            check(0 <= self.doc_stride < self.max_length, "doc_stride", "0 to below max-length", self.doc_stride),
        ]


@dataclass(frozen=True)
class DecodeConfig(Checked):
    """How logits become answers."""

    max_answer_length: int = 30
    """Longest answer in tokens."""
    n_best: int = 20
    """Candidates kept for a question."""
    eval_batch_size: int = 32
    """Windows of a batch in evaluation."""

    def problems(self) -> list[str | None]:
        return [
            check(value >= 1, key, "1 or more", value)
            for key in ("max_answer_length", "n_best", "eval_batch_size")
            for value in [getattr(self, key)]
        ]


@dataclass(frozen=True)
class EncoderConfig(Checked):
    """Which encoder, and on what it runs."""

    model: str = BUNDLED
    """`minilm` (bundled), a hub name (`bert-base-uncased`) or a folder; or a finished run, to go on from what it has
    learned: its encoder with the adapter merged."""
    device: Device = "auto"
    """Where it runs; `auto` takes the GPU where there is one."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass; `auto` is bf16 where the hardware has it, else fp32."""
    dropout: float = 0.0
    """Dropout on hidden states while training."""
    attention_dropout: float = 0.0
    """Dropout on attention weights while training. Above 0 the fused attention kernels are lost on a CPU."""

    def problems(self) -> list[str | None]:
        return [
            check(0 <= value < 1, key, "0 to below 1", value)
            for key, value in (("dropout", self.dropout), ("attention_dropout", self.attention_dropout))
        ]


@dataclass(frozen=True)
class OptimiserConfig(Checked):
    """How the trainable parameters learn."""

    learning_rate: float | None = None
    """Peak learning rate; default: the method's own (`spantune methods`)."""
    epochs: float = 3.0
    """Passes over the training examples; 0 trains nothing: the model is scored as it is."""
    batch_size: int = 8
    """Windows of a micro-batch."""
    max_batch_tokens: int = 8192
    """Tokens that are in the model at once, padding included: a larger batch goes in parts, with the same gradient."""
    gradient_accumulation: int = 1
    """Micro-batches of one optimiser step."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time, the same gradients."""
    warmup_ratio: float = 0.1
    """Share of the steps in which the learning rate rises linearly from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """What the learning rate does after the warm-up."""
    weight_decay: float = 0.01
    """Decoupled weight decay (AdamW)."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 switches clipping off."""
    labels: Labels = "all"
    """Which accepted answers are learned: `first`, or `all` (each an equal share of the target)."""
    seed: int = 0
    """Seeds initial weights, order, splits and limits."""

    def problems(self) -> list[str | None]:
        rate = self.learning_rate
        return [
            check(rate is None or 0 < rate < 10, "learning_rate", "above 0 and below 10", rate),
            check(self.epochs >= 0, "epochs", "0 or more", self.epochs),
            check(self.batch_size >= 1, "batch_size", "1 or more", self.batch_size),
            check(self.max_batch_tokens >= 1, "max_batch_tokens", "1 or more", self.max_batch_tokens),
            check(self.gradient_accumulation >= 1, "gradient_accumulation", "1 or more", self.gradient_accumulation),
            check(0 <= self.warmup_ratio < 1, "warmup_ratio", "0 to below 1", self.warmup_ratio),
            check(self.weight_decay >= 0, "weight_decay", "0 or more", self.weight_decay),
            check(self.max_grad_norm >= 0, "max_grad_norm", "0 or more", self.max_grad_norm),
            check_seed(self.seed),
        ]


@dataclass(frozen=True)
class TeacherConfig(Checked):
    """Finished runs whose answers are learned beside the accepted ones (knowledge distillation)."""

    teachers: tuple[str, ...] = ()
    """Finished runs, such as `runs/full-0` or `zoo/lora`, with the same tokens: the mean of their probabilities is
    learned too, which says how near the other spans come."""
    teacher_weight: float = 0.5
    """The teachers' share of the loss; the accepted answers have the rest."""
    teacher_temperature: float = 2.0
    """Divides the logits of teachers and pupil where they are compared: the higher, the more the unlikely spans
    count."""

    def problems(self) -> list[str | None]:
        names, weight, temperature = self.teachers, self.teacher_weight, self.teacher_temperature
        return [
            check(len(set(names)) == len(names), "teachers", "each run once", names),
            check(0 < weight <= 1, "teacher_weight", "above 0, at most 1", weight),
            check(temperature > 0, "teacher_temperature", "above 0", temperature),
            *(
                None if names or getattr(self, one.name) == one.default else f"{_flag(one.name)}: needs --teachers"
                for one in fields(TeacherConfig)
            ),
        ]


@dataclass(frozen=True)
class StartConfig(Checked):
    """Finished runs where a run begins, instead of at the untrained method."""

    start_from: tuple[str, ...] = ()
    """Finished runs of the encoder. One of the same method and options: go on where it stands. Else begin with (the
    mean of) what they changed in the encoder's weights, as far as the method can hold it; with `--epochs 0` that is the
    result."""

    def problems(self) -> list[str | None]:
        names = self.start_from
        return [check(len(set(names)) == len(names), "start_from", "each run once", names)]


@dataclass(frozen=True)
class TrackingConfig(Checked):
    """What is written down besides the run folder."""

    mlflow: bool = True
    """Mirror the run into MLflow; `--no-mlflow` switches it off."""
    tracking_uri: str | None = None
    """MLflow server or store; default: a SQLite file beside the runs."""
    experiment: str = "spantune"
    """MLflow experiment."""
    parent_run: str | None = None
    """MLflow run under which this one is listed; a study sets it for its runs."""


@dataclass(frozen=True)
class AfterwardsConfig(Checked):
    """What is measured of the trained model beside EM and F1. It changes no weight, so a finished run is not trained
    again for it."""

    also_evaluate: tuple[str, ...] = ()
    """Further sets, each scored once at the end: sources as of `--eval-data` (at most `max_eval_examples` of each)."""
    semantic: bool = False
    """Also compare answers by meaning: how many EM calls wrong and a sentence encoder right."""
    cost_seconds: float | None = None
    """How long to measure how fast the trained model answers, unmerged and merged; 0: not at all. Default: a fiftieth
    of the training, from 1 to 20 seconds."""

    def problems(self) -> list[str | None]:
        further, seconds = self.also_evaluate, self.cost_seconds
        return [
            check(len(set(further)) == len(further), "also_evaluate", "each set once", further),
            check(seconds is None or seconds >= 0, "cost_seconds", "0 or more", seconds),
        ]


@dataclass(frozen=True)
class RunConfig(
    DataConfig,
    WindowConfig,
    DecodeConfig,
    EncoderConfig,
    OptimiserConfig,
    TeacherConfig,
    StartConfig,
    TrackingConfig,
    AfterwardsConfig,
):
    """All that a training run needs, except its method: shared by `train` and `compare`."""

    evals_per_epoch: int = 1
    """How often the selection split is scored in an epoch."""
    early_stopping: int | None = None
    """Stop after so many evaluations without a better F1; default: never."""
    checkpoint_seconds: float = 120.0
    """Write a checkpoint so often: what a crash costs at most."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of a finished run."""

    def problems(self) -> list[str | None]:
        patience = self.early_stopping
        return [
            check(self.evals_per_epoch >= 1, "evals_per_epoch", "1 or more", self.evals_per_epoch),
            check(patience is None or patience >= 1, "early_stopping", "1 or more", patience),
            None
            if self.early_stopping is None or self.selection_fraction > 0
            else "early-stopping: needs a selection split; set selection-fraction above 0",
        ]


BOOKKEEPING = frozenset(
    (
        *("output", "resume", "overwrite", "checkpoint_seconds", "keep_checkpoints"),
        *("mlflow", "tracking_uri", "experiment", "parent_run"),
        *("max_batch_tokens", "eval_batch_size"),
    )
)
"""Settings that say where a run is written down, and in what portions it is worked off: others make the same run.

None touches a number but for rounding. (With dropout, other portions draw other random numbers, of the same kind.)
"""
AFTERWARDS = frozenset(one.name for one in fields(AfterwardsConfig))
"""Settings of what is measured of a trained model: others ask for more of the same run."""


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """One training run."""

    method: str = "lora"
    """How the encoder is fine-tuned (`spantune methods` lists them)."""
    output: str = "runs/{method}-{seed}"
    """Run folder; `{method}`, `{model}` and `{seed}` are filled in."""
    resume: bool = False
    """Go on from the last checkpoint of an interrupted run in the output folder."""
    overwrite: bool = False
    """Replace the run that the output folder holds."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The method's own options by name (flags: `--lora.rank 16`)."""

    def problems(self) -> list[str | None]:
        return [check(bool(self.output.strip()), "output", "a folder", self.output)]
