"""Settings of the commands other than `train` and `compare`."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
    """A field that is given on the command line without a flag."""
    return field(default=default, metadata={"positional": True, "metavar": metavar})


def given(value: object, key: str, what: str) -> str | None:
    """A line for `ConfigError` where a setting without a sensible default was left out."""
    return None if value else f"{key.replace('_', '-')}: expected {what}, found nothing"


@dataclass(frozen=True)
class PredictorConfig(DeviceConfig):
    """How a finished run answers questions."""

    eval_batch_size: Count = DecodeConfig.eval_batch_size
    """Windows of a batch."""
    max_answer_length: Count | None = None
    """Longest answer in tokens; default: as the run was trained."""
    merge: bool = False
    """Fold adapters into the encoder's weights where their method can be: they answer as fast as the plain encoder, the
    same but for rounding, and each then needs memory for weights of its own."""


@dataclass(frozen=True)
class ReportConfig(ConfigGroup):
    """Write the report of a study."""

    study: str = positional("", "STUDY")
    """Study folder."""

    def problems(self) -> list[str | None]:
        return [given(self.study, "STUDY", "a study folder")]


@dataclass(frozen=True)
class EvaluateConfig(ReadConfig, PredictorConfig, ScoringConfig):
    """Score finished runs on a data source."""

    runs: tuple[str, ...] = positional((), "RUN")
    """Run folders; `zoo` for all adapters that ship with spantune."""
    data: tuple[str, ...] = ()
    """Sources to score on, as `spantune train --eval-data` takes them."""
    max_eval_examples: Count | None = None
    """Score at most this many examples (seeded)."""
    seed: Seed = 0
    """Seeds the choice of those examples."""
    semantic: bool = False
    """Also compare answers by meaning: how many EM calls wrong and a sentence encoder right."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> list[str | None]:
        return [
            given(self.runs, "RUN", "at least one run folder, before the flags"),
            given(self.data, "data", "at least one source"),
        ]


@dataclass(frozen=True)
class AskConfig(PredictorConfig):
    """One question on one context to one or more runs."""

    runs: tuple[str, ...] = positional((), "RUN")
    """Run folders; `zoo` for all adapters that ship with spantune."""
    question: str = ""
    """The question."""
    context: str | None = None
    """The text that answers it."""
    context_file: str | None = None
    """A UTF-8 text file with the context; `-` reads standard input."""
    n_best: Count = 1
    """Print this many candidates of each run."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> list[str | None]:
        return [
            given(self.runs, "RUN", "at least one run folder, before the flags"),
            given(self.question.strip(), "question", "a question"),
            check(
                (self.context is None) != (self.context_file is None),
                "context",
                "either --context or --context-file",
                "both" if self.context is not None else "neither",
            ),
        ]


@dataclass(frozen=True)
class PredictConfig(ReadConfig, PredictorConfig):
    """Answer a file of questions in batches."""

    run: str = positional("", "RUN")
    """Run folder."""
    data: str = ""
    """The questions: any source of `spantune train --data`."""
    output: str = "predictions.json"
    """Where the answers go, in the official format: `{"id": "answer"}`."""
    n_best: Count = DecodeConfig.n_best
    """Candidates of each question in the n-best file."""
    n_best_output: str | None = None
    """Where the candidates with their probabilities go."""
    null_odds_output: str | None = None
    """Where each question's score for "no answer" goes, for `spantune score --null-odds`."""

    def problems(self) -> list[str | None]:
        return [
            given(self.run, "RUN", "a run folder, before the flags"),
            given(self.data, "data", "a file or another source"),
            *self._written_over(),
        ]

    def _written_over(self) -> Iterator[str | None]:
        """Lines about files that would overwrite the questions or each other."""
        taken = {os.path.realpath(self.data): "the questions' own file"}
        for key in ("output", "n_best_output", "null_odds_output"):
            path = getattr(self, key)
            place = os.path.realpath(path) if path else ""
            if place:
                yield check(place not in taken, key, "a file of its own", f"{path}, {taken.get(place)}")
                taken[place] = f"where --{key.replace('_', '-')} goes"


@dataclass(frozen=True)
class ScoreConfig(ReadConfig, ScoringConfig):
    """Score a file of predictions exactly as the official SQuAD scorers do, or by MLQA's rules for a language."""

    data: str = ""
    """The references: SQuAD JSON or another source. v2.0's rules where a question has no answer, or with null odds."""
    predictions: str = ""
    """The predictions: `{"id": "answer"}`, an empty answer for none."""
    null_odds: str | None = None
    """Scores for "no answer", `{"id": number}` (v2.0): adds the best threshold and what it reaches."""
    null_threshold: float = 1.0
    """Above this a question counts as not answered, where null odds are given."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> list[str | None]:
        return [
            given(self.data, "data", "a file of references"),
            given(self.predictions, "predictions", "a file of predictions"),
        ]


@dataclass(frozen=True)
class RecommendConfig(ConfigGroup):
    """Choose a method from a study. A limit that is left out does not apply."""

    study: str = positional("", "STUDY")
    """Study folder."""
    max_adapter_mb: AboveZero | None = None
    """Largest adapter, in 10^6 bytes on disk."""
    max_latency_ms: AboveZero | None = None
    """Longest time for a question by itself, in milliseconds: median, merged where the method can be."""
    max_train_minutes: AboveZero | None = None
    """Longest training, in minutes of optimiser steps."""
    max_trainable: Annotated[int | None, Allowed("above 0", lambda value: value > 0)] = None
    """Most parameters that learn, span head included."""
    min_f1: AboveZero | None = None
    """Lowest F1, mean over the runs, 0 to 100."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> list[str | None]:
        return [
            given(self.study, "STUDY", "a study folder, before the flags"),
            check(self.min_f1 is None or self.min_f1 <= 100, "min_f1", "at most 100", self.min_f1),
        ]


@dataclass(frozen=True)
class MethodsConfig(ConfigGroup):
    """List the methods."""

    encoder: str = BUNDLED
    """Encoder on which they are counted: `minilm`, a model of the hub or a folder; its weights are not read."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class ZooConfig(ConfigGroup):
    """List the adapters that ship with the package."""

    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class DoctorConfig(ReadConfig, WindowConfig, ScoringConfig):
    """Look for what is broken or doubtful in a data source."""

    sources: tuple[str, ...] = positional((), "SOURCE")
    """Sources as `spantune train --data` takes them."""
    eval_data: str | None = None
    """Reported set, to look for contexts that are in both."""
    squad_v2: bool = False
    """Questions without an answer are meant (as in a run with `--squad-v2`)."""
    model: str = BUNDLED
    """Encoder whose tokenizer measures lengths."""
    max_answer_length: Count = DecodeConfig.max_answer_length
    """Longest answer in tokens that the model may give."""
    json: bool = False
    """Print JSON."""

    def problems(self) -> list[str | None]:
        return [given(self.sources, "SOURCE", "at least one source, before the flags")]
