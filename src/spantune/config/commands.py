"""Settings of the commands other than `train` and `compare`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from spantune.config.training import (
    BUNDLED,
    AboveZero,
    Allowed,
    ConfigGroup,
    Count,
    DecodeConfig,
    DeviceConfig,
    ReadConfig,
    ScoringConfig,
    Seed,
    WindowConfig,
    check,
)


def positional(default: Any, metavar: str) -> Any:
    """A field that the command line takes without a flag."""
    return field(default=default, metadata={"positional": True, "metavar": metavar})


def given(value: object, key: str, what: str) -> str | None:
    """A line for `ConfigError` if a setting that has no sensible default is missing."""
    return None if value else f"{key.replace('_', '-')}: expected {what}, found nothing"


@dataclass(frozen=True)
class PredictorConfig(DeviceConfig):
    """How a finished run answers questions."""

    eval_batch_size: Count = DecodeConfig.eval_batch_size
    """Windows in a batch."""
    max_answer_length: Count | None = None
    """Longest answer in tokens; default: as in training."""
    merge: bool = False
    """Merge adapters into the encoder's weights where the method allows it: they answer as fast as the encoder alone,
    the same except for rounding, and each needs memory for its own copy of the weights."""
    verify: bool = True
    """Compare the digests of the model's files and of its encoder's weights with those that were written when it was
    saved, so that damage is named; `--no-verify` saves a second or so per gigabyte."""


@dataclass(frozen=True)
class ReportConfig(ConfigGroup):
    """Write the report of a study: one HTML page, Markdown, CSV, plots. `compare` does so at its end."""

    study: str = positional("", "STUDY")
    """Study folder."""

    def problems(self) -> Iterable[str | None]:
        return [given(self.study, "STUDY", "a study folder")]


@dataclass(frozen=True)
class EvaluateConfig(ReadConfig, PredictorConfig, ScoringConfig):
    """Score finished runs on a data source with the official metrics, or by MLQA's rules for a language."""

    runs: tuple[str, ...] = positional((), "RUN")
    """Run folders; `zoo` for all adapters that ship with spantune."""
    data: tuple[str, ...] = ()
    """Sources to score on, as `spantune train --eval-data` takes them."""
    max_eval_examples: Count | None = None
    """Score at most this many examples (a seeded sample)."""
    seed: Seed = 0
    """Seed of that sample."""
    semantic: bool = False
    """Also compare answers by meaning: count those that EM rejects and a sentence encoder accepts."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> Iterable[str | None]:
        yield given(self.runs, "RUN", "at least one run folder, before the flags")
        yield given(self.data, "data", "at least one source")


@dataclass(frozen=True)
class AskConfig(PredictorConfig):
    """Ask finished runs one question on one context."""

    runs: tuple[str, ...] = positional((), "RUN")
    """Run folders; `zoo` for all adapters that ship with spantune."""
    question: str = ""
    """The question."""
    context: str | None = None
    """The text to find the answer in."""
    context_file: str | None = None
    """A UTF-8 text file with the context; `-` reads standard input."""
    n_best: Count = 1
    """Print this many candidates from each run."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> Iterable[str | None]:
        yield given(self.runs, "RUN", "at least one run folder, before the flags")
        yield given(self.question.strip(), "question", "a question")
        if (self.context is None) == (self.context_file is None):
            sources = "neither" if self.context is None else "both"
            yield check(False, "context", "either --context or --context-file", sources)


@dataclass(frozen=True)
class PredictConfig(ReadConfig, PredictorConfig):
    """Answer a file of questions in batches and write the official prediction format."""

    run: str = positional("", "RUN")
    """Run folder."""
    data: str = ""
    """The questions: any source of `spantune train --data`."""
    output: str = "predictions.json"
    """File for the answers, in the official format: `{"id": "answer"}`."""
    n_best: Count = DecodeConfig.n_best
    """Candidates for each question in the n-best file."""
    n_best_output: str | None = None
    """File for the candidates with their probabilities."""
    null_odds_output: str | None = None
    """File for each question's score for "no answer", for `spantune score --null-odds`."""

    def problems(self) -> Iterable[str | None]:
        yield given(self.run, "RUN", "a run folder, before the flags")
        yield given(self.data, "data", "a file or another source")
        taken = {os.path.realpath(self.data): "the questions' own file"}
        for key in ("output", "n_best_output", "null_odds_output"):
            if path := getattr(self, key):
                place = os.path.realpath(path)
                yield check(place not in taken, key, "a file of its own", f"{path}, {taken.get(place)}")
                taken[place] = f"where --{key.replace('_', '-')} goes"


@dataclass(frozen=True)
class ScoreConfig(ReadConfig, ScoringConfig):
    """Score a prediction file exactly as the official SQuAD scorers do, or by MLQA's rules for a language."""

    data: str = ""
    """The references: SQuAD JSON or another source. v2.0's rules apply if a question has no answer, or with odds."""
    predictions: str = ""
    """The predictions: `{"id": "answer"}`, an empty answer for none."""
    null_odds: str | None = None
    """Scores for "no answer", `{"id": number}` (v2.0): adds the best threshold and what it reaches."""
    null_threshold: float = 1.0
    """Null odds above this count as "no answer"."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> Iterable[str | None]:
        yield given(self.data, "data", "a file of references")
        yield given(self.predictions, "predictions", "a file of predictions")


@dataclass(frozen=True)
class RecommendConfig(ConfigGroup):
    """Choose a method from a finished study within limits: which, why, what the next best would cost."""

    study: str = positional("", "STUDY")
    """Study folder."""
    max_adapter_mb: AboveZero | None = None
    """Largest adapter, in 10^6 bytes on disk."""
    max_latency_ms: AboveZero | None = None
    """Longest time for a single question, in milliseconds: the median, merged where the method allows it."""
    max_train_minutes: AboveZero | None = None
    """Longest training time, in minutes of optimiser steps."""
    max_trainable: Annotated[int | None, Allowed("above 0", lambda value: value > 0)] = None
    """Most trainable parameters, including the span head."""
    min_f1: AboveZero | None = None
    """Lowest mean F1 of the runs, 0 to 100."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> Iterable[str | None]:
        yield given(self.study, "STUDY", "a study folder, before the flags")
        yield check(self.min_f1 is None or self.min_f1 <= 100, "min_f1", "at most 100", self.min_f1)


@dataclass(frozen=True)
class MethodsConfig(ConfigGroup):
    """List the methods on one encoder: supported, parameters, size on disk, forward cost, learning rate."""

    encoder: str = BUNDLED
    """Encoder to list them for: `minilm`, a model on the hub or a folder; its weights are not read."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class ZooConfig(ConfigGroup):
    """List the adapters that ship with the package: `zoo/NAME` is a run wherever one is named."""

    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class DoctorConfig(ReadConfig, WindowConfig, ScoringConfig):
    """Look for broken offsets, duplicates, leaks and answers that no window holds in a data source."""

    sources: tuple[str, ...] = positional((), "SOURCE")
    """Sources as `spantune train --data` takes them."""
    eval_data: str | None = None
    """Reported set; contexts that are in both are reported."""
    squad_v2: bool = False
    """Allow questions without an answer, as `spantune train --squad-v2` does."""
    model: str = BUNDLED
    """Encoder whose tokenizer counts the tokens."""
    max_answer_length: Count = DecodeConfig.max_answer_length
    """Longest answer in tokens that the model may give."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> Iterable[str | None]:
        return [given(self.sources, "SOURCE", "at least one source, before the flags")]
