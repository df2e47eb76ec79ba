"""Several trained models that answer together: one encoder in memory, shared windows, models in parallel."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from spantune.answering.cache import tokenizer_digest
from spantune.answering.engine import CorpusAnswers
from spantune.answering.predictor import Predictor, question_on
from spantune.answering.token_probabilities import Inside
from spantune.answering.window_rules import WindowRules
from spantune.answering.windows import Part, StreamedWindows
from spantune.config import DecodeConfig, PredictorConfig
from spantune.data import Corpus, Example
from spantune.data.checks.texts import require_readable
from spantune.data.prediction import Prediction
from spantune.errors import ConfigError
from spantune.modeling.kernels.threads import SideBySide
from spantune.modeling.kernels.weight_casting import cast_linear_weights
from spantune.modeling.shared_weights import share_encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Result = TypeVar("Result")


class Panel:
    """Predictors by name that answer the same questions: `ask`, `predict` and `inside` give a result for each name.

    Models of one encoder share a tokenizer and one copy of the weights that none of them changed, so that a further
    adapter costs only the memory of its own weights. (A merged adapter changes every weight that it adapts.)

    It is thread-safe. Threads wait for one another, since one request keeps every core busy: to answer the questions of
    many at once, `predict` them together.

    The panel takes over its predictors: it stores their weights for inference only, so that they can no longer be
    trained, merged or saved.
    """

    def __init__(self, predictors: Mapping[str, Predictor] | Iterable[tuple[str, Predictor]]) -> None:
        """Takes what `dict` takes; ConfigError if there is no predictor."""
        self.predictors: dict[str, Predictor] = {}
        self._window_keys: dict[str, tuple[str, WindowRules]] = {}  # models with equal keys share windows
        self._tokenizers: dict[str, PreTrainedTokenizerFast] = {}
        for name, predictor in predictors.items() if isinstance(predictors, Mapping) else predictors:
            self._add(name, predictor)
        if not self.predictors:
            raise ConfigError("there is no model to ask", expected="at least one run", found="none")
        _release_memory()
        self._seconds = dict.fromkeys(self.predictors, 0.0)
        self._asking = threading.Lock()

    @classmethod
    def load(cls, runs: Iterable[str | Path], config: PredictorConfig | None = None) -> Panel:
        """The models of finished runs, named by their folders as given; each once.

        Raises:
            RunError, EncoderError: as `Predictor.load`. ConfigError: no run was given.
        """
        # One after another, so that there are never more than two copies of an encoder.
        return cls((run, Predictor.load(run, config)) for run in dict.fromkeys(map(str, runs)))

    def _add(self, name: str, predictor: Predictor) -> None:
        """Let it share weights and tokenizer with the predictors before it."""
        if predictor.dtype != torch.float32:
            cast_linear_weights(predictor.model, predictor.dtype)
        self.predictors[name] = predictor
        share_encoder([added.model for added in self.predictors.values()])
        digest = tokenizer_digest(predictor.tokenizer)
        self._window_keys[name] = digest, predictor.rules
        predictor.tokenizer = self._tokenizers.setdefault(digest, predictor.tokenizer)

    def ask(self, question: str, context: str, *, n_best: int = DecodeConfig.n_best) -> dict[str, Prediction]:
        """Every model's answer to one question on one context of any length; DataError if either is empty."""
        answers = self.predict([question_on(question, context)], n_best=n_best)
        return {name: predictions[0] for name, predictions in answers.items()}

    def predict(self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best) -> dict[str, list[Prediction]]:
        """Every model's answers to many questions, in batches of similar length, in the order of the examples.

        All their windows are in memory at the same time.
        """
        return {name: answers.predictions for name, answers in self.answer(examples, n_best=n_best).items()}

    def answer(
        self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best, names: Sequence[str] | None = None
    ) -> dict[str, CorpusAnswers]:
        """As `predict`, with the time that each model took; `names` selects some of the models."""
        require_readable(examples)
        asked = [name for name in self.predictors if names is None or name in names]
        corpus = Corpus.of(examples, "questions")
        if not corpus.examples:
            return {name: CorpusAnswers() for name in asked}
        with self._asking:
            windows = {
                self._window_keys[name]: _KeptWindows(
                    corpus, self.predictors[name].tokenizer, self.predictors[name].rules
                )
                for name in asked
            }
            # The slowest first, so that threads do not wait for a slow one at the end.
            order = sorted(asked, key=self._seconds.__getitem__, reverse=True)
            tasks = [
                partial(self.predictors[name].predict_windows, windows[self._window_keys[name]], n_best=n_best)
                for name in order
            ]
            done = _in_parallel(self._pool, tasks) if self._pool else [task() for task in tasks]
            answered = dict(zip(order, done, strict=True))
            self._seconds |= {name: answers.seconds / answers.windows for name, answers in answered.items()}
        return {name: answered[name] for name in asked}

    def inside(self, example: Example, *, names: Sequence[str] | None = None) -> dict[str, Inside]:
        """Where in the context each model sees the answer begin and end; `names` as for `answer`."""
        with self._asking:
            return {
                name: predictor.inside(example)
                for name, predictor in self.predictors.items()
                if names is None or name in names
            }

    @cached_property
    def _pool(self) -> SideBySide | None:
        """Started with the first question, so that a server may fork before; None on a GPU, which is one device."""
        sides = min(len(self.predictors), torch.get_num_threads())
        on_cpu = all(predictor.model.device.type == "cpu" for predictor in self.predictors.values())
        return SideBySide(sides, "panel") if sides > 1 and on_cpu else None


def _release_memory() -> None:
    """Return what loading no longer needs to the system: glibc keeps freed chunks, several times an adapter's size."""
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


@dataclass(frozen=True)
class _KeptWindows(StreamedWindows):
    """Windows that are made once, for several models in several threads."""

    made: dict[int, list[Part]] = field(default_factory=dict)
    making: threading.Lock = field(default_factory=threading.Lock)

    def parts(self, size: int) -> Iterator[Part]:
        with self.making:
            if size not in self.made:
                self.made[size] = list(super().parts(size))
        return iter(self.made[size])


def _in_parallel(side_by_side: SideBySide, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Their results in order; when all have ended, raises the error of the first that failed."""
    with side_by_side.working() as pool:
        futures = [pool.submit(task) for task in tasks]
        wait(futures)
    return [future.result() for future in futures]
