"""Windows through a model to predictions: the one loop behind evaluation, prediction and the best-checkpoint score."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spantune.config import DecodeConfig, Labels
from spantune.evaluation.answers import AnswerCollector, Prediction
from spantune.evaluation.decoding import window_candidates
from spantune.features.batches import context_mask, labels, model_inputs, sorted_batches, token_offsets
from spantune.features.windows import CUT, StreamedWindows, Windows, numbers
from spantune.modeling import SpanModel
from spantune.modeling.loss import span_loss
from spantune.modeling.span_model import SpanLogits

_AT_ONCE = 2048
"""Windows that are sorted by length together, and whose candidates are in memory together."""

Sink = Callable[[Prediction], None]
"""Takes the predictions one by one, in the corpus' order."""


@dataclass
class Answers:
    """What a pass over a corpus gave: of each prediction only what scoring needs, by the example's id.

    Attributes:
        texts: the answers, "" for none.
        spans: the best spans, which with `squad_v2` also stand where the answer is "".
        null_odds: see `Prediction.null_odds`.
        loss: mean over labelled windows, where it was asked for.
        seconds: forward and decoding. windows: how many. broken_windows: those whose logits were not finite.
    """

    texts: dict[str, str] = field(default_factory=dict)
    spans: dict[str, str] = field(default_factory=dict)
    null_odds: dict[str, float] = field(default_factory=dict)
    loss: float | None = None
    seconds: float = 0.0
    windows: int = 0
    broken_windows: int = 0

    def keep(self, prediction: Prediction) -> None:
        """Add what scoring needs of a prediction."""
        self.texts[prediction.id] = prediction.text
        self.spans[prediction.id] = prediction.n_best[0].text if prediction.n_best else ""
        self.null_odds[prediction.id] = prediction.null_odds


@torch.inference_mode()
def answer_windows(
    model: SpanModel,
    windows: Windows | StreamedWindows,
    *,
    pad_token_id: int,
    decode: DecodeConfig,
    dtype: torch.dtype,
    squad_v2: bool = False,
    null_threshold: float = 0.0,
    loss_labels: Labels | None = None,
    sink: Sink | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Answers:
    """Answer every example of a corpus; the model is put into evaluation mode and left in the mode it was in.

    One part of the corpus after another: what is in memory at once does not depend on the number of parts.

    Args:
        dtype: of the forward pass. loss_labels: also measure the loss against these labels.
        sink: is handed the whole predictions, of which nothing else is kept than `Answers` holds.
        on_batch: told the number of windows after every batch.
    """
    was_training = model.training
    model.eval()
    answers, loss = Answers(), _Loss(loss_labels)
    try:
        for part in windows.parts(_AT_ONCE):
            began = time.perf_counter()
            collector = AnswerCollector(
                part.examples, n_best=decode.n_best, squad_v2=squad_v2, null_threshold=null_threshold
            )
            for batch in sorted_batches(numbers(part.rows, "length"), decode.eval_batch_size):
                rows = part.rows[batch]
                logits, mask = _logits(model, rows, pad_token_id, windows.rules.max_length, dtype)
                spans = window_candidates(
                    logits.start, logits.end, mask, max_answer_length=decode.max_answer_length, k=decode.n_best
                )
                owners = np.asarray(rows["example"]) - part.first
                collector.add_batch(owners, token_offsets(rows, mask.shape[1]), spans.numpy())
                loss.add(logits, mask, rows)
                if on_batch is not None:
                    on_batch(len(batch))
            predictions = collector.predictions()
            answers.seconds += time.perf_counter() - began
            answers.windows += len(part.rows)
            answers.broken_windows += collector.broken_windows
            for prediction in predictions:
                answers.keep(prediction)
                if sink is not None:
                    sink(prediction)
    finally:
        model.train(was_training)
    answers.loss = loss.mean
    return answers


def _logits(
    model: SpanModel, rows: Mapping[str, Sequence[Any]], pad_token_id: int, max_length: int, dtype: torch.dtype
) -> tuple[SpanLogits, Tensor]:
    """Of a batch of rows, with the mask of their context tokens, (B, L)."""
    device = model.device
    made = model_inputs(rows, pad_token_id, max_length=max_length)
    inputs = {key: tensor.to(device, non_blocking=True) for key, tensor in made.items()}
    mask = context_mask(rows, inputs["input_ids"].shape[1]).to(device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        return model(**inputs), mask


class _Loss:
    """The mean of the span loss over all windows that have a label; None where no labels are wanted."""

    def __init__(self, which: Labels | None) -> None:
        self.which, self.total, self.labelled = which, 0.0, 0

    @property
    def mean(self) -> float | None:
        return self.total / self.labelled if self.labelled else None

    def add(self, logits: SpanLogits, mask: Tensor, rows: Mapping[str, Sequence[Any]]) -> None:
        if self.which is None:
            return
        wanted = {key: tensor.to(mask.device) for key, tensor in labels(rows, self.which).items()}
        allowed = mask.clone()
        allowed[:, 0] = True
        values = span_loss(logits, wanted["starts"], wanted["ends"], allowed)
        counted = torch.tensor([kind != CUT for kind in rows["kind"]], device=mask.device)
        self.total += float(values[counted].sum())
        self.labelled += int(counted.sum())
