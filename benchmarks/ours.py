"""spantune's side of every comparison: the one file that knows how its pieces are put together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.plan import Plan
from spantune.answering.span_collector import AnswerCollector, BestAnswers
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import DecodeConfig, PredictorConfig, TrainConfig, WindowConfig
from spantune.config.training import EncoderConfig
from spantune.data import Corpus, Example
from spantune.methods import get
from spantune.runs.manifest import AnsweringSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

    from spantune.answering import Predictor
    from spantune.answering.engine import Sink
    from spantune.modeling import SpanModel
    from spantune.modeling.span_model import SpanLogits
    from spantune.training.trainer import SpanTrainer

Answering = Callable[[str, str], list[str]]
"""Question and context to an answer of each method."""


def config_of(plan: Plan, method: str, **changes: Any) -> TrainConfig:
    """spantune's defaults, but for what both sides share."""
    settings: dict[str, Any] = {
        "model": plan.model,
        "method": method,
        "device": plan.device,
        "batch_size": plan.batch_size,
        "max_length": plan.windows.max_length,
        "doc_stride": plan.windows.doc_stride,
        "mlflow": False,
    }
    return TrainConfig(**{**settings, **changes})


def device_and_dtype(config: EncoderConfig) -> tuple[torch.device, torch.dtype]:
    """Where spantune runs, and the arithmetic of its forward pass there."""
    from spantune.modeling.devices import choose_device, choose_dtype

    device = choose_device(config.device)
    return device, choose_dtype(config.precision, device)


def windows_of(lengths: WindowConfig, corpus: Corpus, model: SpanModel, tokenizer: PreTrainedTokenizerFast) -> Windows:
    """The corpus cut into windows, without a cache."""
    rules = window_rules(lengths, tokenizer, longest=model.max_length, segment_ids=model.sends_segment_ids)
    return make_windows(corpus, tokenizer, rules, cache=False)


def trainer(config: TrainConfig, corpus: Corpus, folder: Path, *, steps: int | None = None) -> SpanTrainer:
    """The trainer of `spantune train`, silent and without a selection split; `steps` in place of the epochs."""
    from spantune.modeling import load_tokenizer
    from spantune.training.callbacks import Bar
    from spantune.training.trainer import SpanTrainer, training_arguments
    from spantune.training.warm_start import fresh_model

    (device, dtype), tokenizer = device_and_dtype(config), load_tokenizer(config.model)
    model = fresh_model(config)
    train = windows_of(config, corpus, model, tokenizer)
    rate = config.learning_rate or get(config.method).learning_rate
    count = steps or math.ceil(math.ceil(len(train.trainable()) / config.batch_size) * config.epochs)
    arguments = training_arguments(config, folder, learning_rate=rate, steps=count, device=device, dtype=dtype)
    arguments.max_steps = count
    made = SpanTrainer(model, tokenizer, config, arguments, train=train, selection=None, dtype=dtype, callbacks=[])
    made.remove_callback(Bar)
    return made


def predictor(plan: Plan, method: str = "full") -> Predictor:
    """A predictor with pretrained weights and a new head."""
    from spantune.answering import Predictor
    from spantune.modeling import build, load_tokenizer

    return Predictor(build(plan.model, method), load_tokenizer(plan.model), settings(plan), predicting(plan))


def predicting(plan: Plan) -> PredictorConfig:
    return PredictorConfig(device=plan.device)


def settings(plan: Plan) -> AnsweringSettings:
    """What a saved model remembers of its training."""
    return AnsweringSettings(
        max_length=plan.windows.max_length,
        doc_stride=plan.windows.doc_stride,
        max_answer_length=DecodeConfig().max_answer_length,
        squad_v2=False,
        null_threshold=0.0,
    )


def evaluate(predictor: Predictor, corpus: Corpus) -> dict[str, float]:
    """From text to EM and F1."""
    from spantune.scoring.score_run import scores

    return scores(corpus, predictor.answer(corpus), squad_v2=False)


Batches = Sequence[tuple[np.ndarray, "SpanLogits"]]
"""The rows of each batch of a part, and their logits (B, L): what the model leaves behind."""


def as_left_by_the_model(windows: Windows, start: np.ndarray, end: np.ndarray) -> list[Batches]:
    """Logits (windows, `max_length`) as the evaluation loop finds them, for each part of the windows."""
    import torch

    from spantune.answering.batches import padded_length, sorted_batches
    from spantune.answering.engine import AT_ONCE, batch_tokens
    from spantune.modeling.span_model import SpanLogits

    tokens = batch_tokens(torch.device("cpu"), start.shape[1], DecodeConfig().eval_batch_size)
    made, first = list[Batches](), 0
    for part in windows.parts(AT_ONCE):
        lengths, batches = part.columns["length"], []
        for batch in sorted_batches(lengths, tokens):
            rows, wide = first + batch, slice(0, padded_length(max(lengths[batch]), start.shape[1]))
            batches.append((batch, SpanLogits(*(torch.from_numpy(one[rows, wide]) for one in (start, end)))))
        made.append(batches)
        first += part.windows
    return made


def decode(windows: Windows, logits: Sequence[Batches], sink: Sink | None = None) -> list[BestAnswers]:
    """From logits to the answers of each part and, for a `sink`, candidates: the evaluation loop without the model."""
    from spantune.answering.engine import AT_ONCE, PartDecoder

    rules, best = DecodeConfig(), []
    for part, batches in zip(windows.parts(AT_ONCE), logits, strict=True):
        collector = AnswerCollector(part.examples, n_best=rules.n_best)
        decoder = PartDecoder(part, collector, rules, candidates=sink is not None)
        for batch, of_batch in batches:
            decoder.add(batch, of_batch)
        decoder.finish()
        best.append(collector.best())
        if sink is not None:
            for prediction in collector.predictions():
                sink(prediction)
    return best


def save_run(plan: Plan, method: str, folder: Path, *, seed: int = 0) -> Path:
    """A run folder of an untrained model that commands and the Predictor load."""
    from spantune.modeling import build, load_tokenizer, save

    model = build(plan.model, method, seed=seed)
    save(model, folder / "adapter", settings=settings(plan), tokenizer=load_tokenizer(plan.model))
    return folder


def answering(plan: Plan, runs: Sequence[Path]) -> tuple[Answering, Callable[[Sequence[Example]], int]]:
    """How a serving process answers with several methods: one question, and many questions together.

    The second returns the number of answers given.
    """
    from spantune.answering import Panel

    panel = Panel.load(runs, predicting(plan))

    def one(question: str, context: str) -> list[str]:
        return [answer.text for answer in panel.ask(question, context).values()]

    def many(examples: Sequence[Example]) -> int:
        return sum(map(len, panel.predict(examples).values()))

    return one, many


def quiet() -> None:
    """No progress bars and no remarks of the libraries: they stand between the figures, and cost time."""
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.disable_progress_bars()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
