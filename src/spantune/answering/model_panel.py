"""Several trained models asked together: one encoder in memory, each context cut once, models side by side."""

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
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch

from spantune.answering.cache import tokenizer_digest
from spantune.answering.predictor import Predictor, question_on
from spantune.answering.token_probabilities import Inside, look_inside
from spantune.answering.windows import Part, StreamedWindows, WindowRules
from spantune.config import DecodeConfig, PredictorConfig
from spantune.data import Corpus, Example
from spantune.data.prediction import Prediction
from spantune.errors import ConfigError
from spantune.modeling.kernels.threads import SideBySide
from spantune.modeling.kernels.weight_casting import cast_linear_weights
from spantune.modeling.shared_weights import share_encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Done = TypeVar("Done")


class Panel:
    """Predictors by name, which answer the same questions, each as it does alone.

    Models of one encoder use one tokenizer and one copy of the weights that none of them changed, so that a further
    adapter costs what it changed. (A merged one changed every weight that it adapts.)

    Any number of threads may ask. They wait for each other, since one request keeps every core busy: where many ask at
    once, `predict` their questions together.

    The predictors belong to the panel from then on: it stores their weights for answering alone, so that they can no
    longer learn, be merged or be saved.
    """

    def __init__(self, predictors: Mapping[str, Predictor] | Iterable[tuple[str, Predictor]]) -> None:
        """Takes what `dict` takes; ConfigError where there is none."""
        self.predictors: dict[str, Predictor] = {}
        self._cuts: dict[str, _Cut] = {}
        self._tokenizers: dict[str, PreTrainedTokenizerFast] = {}
        for name, one in predictors.items() if isinstance(predictors, Mapping) else predictors:
            self._take_in(name, one)
        if not self.predictors:
            raise ConfigError("there is no model to ask", expected="at least one run", found="none")
        _give_back()
        self._seconds = dict.fromkeys(self.predictors, 0.0)
        self._asking = threading.Lock()

    @classmethod
    def load(cls, runs: Iterable[str | Path], config: PredictorConfig | None = None) -> Panel:
        """The models of finished runs, named by the folders as they were given; each once.

        Raises:
            RunError, EncoderError: as `Predictor.load`. ConfigError: no run was given.
        """
        # Pair by pair, so that there are never more than two copies of an encoder.
        return cls((run, Predictor.load(run, config)) for run in dict.fromkeys(map(str, runs)))

    def _take_in(self, name: str, predictor: Predictor) -> None:
        """Let it share what it can with those that are there."""
        if predictor.dtype != torch.float32:
            cast_linear_weights(predictor.model, predictor.dtype)
        self.predictors[name] = predictor
        share_encoder([one.model for one in self.predictors.values()])
        cut = self._cuts[name] = _cut(predictor)
        predictor.tokenizer = self._tokenizers.setdefault(cut.tokenizer, predictor.tokenizer)

    def ask(self, question: str, context: str, *, n_best: int = DecodeConfig.n_best) -> dict[str, Prediction]:
        """Every model's answer to one question on one context, however long; DataError where either is empty."""
        answers = self.predict([question_on(question, context)], n_best=n_best)
        return {name: of_one[0] for name, of_one in answers.items()}

    def predict(self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best) -> dict[str, list[Prediction]]:
        """Every model's answers to many questions, in batches of similar length, in the examples' order.

        All their windows are in memory at once.
        """
        return {name: one.predictions for name, one in self.answer(examples, n_best=n_best).items()}

    def answer(
        self, examples: Sequence[Example], *, n_best: int = DecodeConfig.n_best, names: Sequence[str] | None = None
    ) -> dict[str, Answered]:
        """The same, with the time that each model took; `names` asks some of the models alone."""
        asked = [name for name in self.predictors if names is None or name in names]
        corpus = Corpus.of(examples, "questions")
        if not corpus.examples:
            return {name: Answered([], 0.0, 0) for name in asked}
        with self._asking:
            windows = {
                self._cuts[name]: _KeptWindows(corpus, self.predictors[name].tokenizer, self.predictors[name].rules)
                for name in asked
            }
            # The slowest first: where threads run out of models, the last ones left are then quick.
            order = sorted(asked, key=self._seconds.__getitem__, reverse=True)
            tasks = [partial(_answered, self.predictors[name], windows[self._cuts[name]], n_best) for name in order]
            done = _at_once(self._together, tasks) if self._together else [task() for task in tasks]
            answered = dict(zip(order, done, strict=True))
            self._seconds |= {name: one.seconds / one.windows for name, one in answered.items()}
        return {name: answered[name] for name in asked}

    def inside(self, example: Example, *, names: Sequence[str] | None = None) -> dict[str, Inside]:
        """Where in the context each model sees the answer begin and end (`answering.token_probabilities`)."""
        with self._asking:
            asked = {name: one for name, one in self.predictors.items() if names is None or name in names}
            return {name: look_inside(one, example) for name, one in asked.items()}

    @cached_property
    def _together(self) -> SideBySide | None:
        """Begun with the first question, so that a server may fork before it; None on a GPU, which is one device."""
        sides = min(len(self.predictors), torch.get_num_threads())
        on_cpu = all(one.model.device.type == "cpu" for one in self.predictors.values())
        return SideBySide(sides, "panel") if sides > 1 and on_cpu else None


def _give_back() -> None:
    """Memory that loading needed, to the system: glibc would keep what is scattered, several times an adapter's own."""
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


class Answered(NamedTuple):
    """One model's share of a request: its predictions, the seconds that it computed, and for how many windows."""

    predictions: list[Prediction]
    seconds: float
    windows: int


def _answered(predictor: Predictor, windows: _KeptWindows, n_best: int) -> Answered:
    kept: list[Prediction] = []
    answers = predictor.answer_windows(windows, n_best=n_best, sink=kept.append)
    return Answered(kept, answers.seconds, answers.windows)


class _Cut(NamedTuple):
    """What decides how a context is cut: models that agree in it share windows.

    Attributes:
        tokenizer: a digest. Where it is the same, one tokenizer serves for the other.
    """

    tokenizer: str
    rules: WindowRules


def _cut(predictor: Predictor) -> _Cut:
    return _Cut(tokenizer_digest(predictor.tokenizer), predictor.rules)


@dataclass(frozen=True)
class _KeptWindows(StreamedWindows):
    """Windows that several models read, in several threads: made once."""

    made: dict[int, list[Part]] = field(default_factory=dict)
    making: threading.Lock = field(default_factory=threading.Lock)

    def parts(self, size: int) -> Iterator[Part]:
        with self.making:
            if size not in self.made:
                self.made[size] = list(super().parts(size))
        return iter(self.made[size])


def _at_once(together: SideBySide, tasks: Sequence[Callable[[], Done]]) -> list[Done]:
    """What each gives, in their order; raises what the first one to fail raises, when all have ended."""
    with together.working() as pool:
        futures = [pool.submit(task) for task in tasks]
        wait(futures)
    return [future.result() for future in futures]
