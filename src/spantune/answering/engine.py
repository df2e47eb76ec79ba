"""From windows to predictions: the loop that evaluation, prediction and the best-checkpoint score share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from spantune.answering.arrow_arrays import Columns, take
from spantune.answering.batches import (
    allowed_tokens,
    character_spans,
    end_points,
    labels,
    model_inputs,
    sorted_batches,
)
from spantune.answering.labels import CUT
from spantune.answering.span_collector import AnswerCollector, BestAnswers
from spantune.answering.span_decoding import best_spans, window_candidates
from spantune.answering.windows import Part, StreamedWindows, Windows
from spantune.config import DecodeConfig, Labels
from spantune.data.prediction import Prediction
from spantune.modeling import SpanModel
from spantune.modeling.kernels.threads import SideBySide, threads
from spantune.modeling.kernels.weight_casting import linear_weights_cast
from spantune.modeling.loss import span_loss
from spantune.modeling.span_model import SpanLogits

AT_ONCE = 2048
"""Windows that are sorted by length together, and whose candidates are in memory at the same time."""
_CPU_TOKENS = 2048
"""Most tokens of a batch on a CPU: the activations of more do not fit into its caches, which costs time."""
_DECODED_AT_ONCE = 196_608
"""Tokens whose logits are decoded together: for one batch alone, the overhead of each operation dominates."""
_SIDES = 8
"""Most batches at once on a CPU; more would wait for Python's global lock."""

Sink = Callable[[Prediction], None]
"""Receives the predictions one by one, in the order of the corpus."""


@dataclass
class CorpusAnswers:
    """The answers to a corpus: of each prediction only what scoring needs, by the id of its example.

    Attributes:
        texts: the answers, "" for "no answer".
        withheld: the best span of each example whose answer is "" although it has one.
        null_odds: see `Prediction.null_odds`.
        loss: mean over the labelled windows, if it was requested.
        seconds: forward pass and decoding. windows: how many. broken_windows: those whose logits are not finite.
        predictions: whole, in the order of the corpus; filled by `Predictor.predict` and `Panel` alone.
    """

    texts: dict[str, str] = field(default_factory=dict)
    withheld: dict[str, str] = field(default_factory=dict)
    null_odds: dict[str, float] = field(default_factory=dict)
    loss: float | None = None
    seconds: float = 0.0
    windows: int = 0
    broken_windows: int = 0
    predictions: list[Prediction] = field(default_factory=list)

    @property
    def spans(self) -> dict[str, str]:
        """The best span of each example, "" without any: the answers if the model always had to answer."""
        return self.texts | self.withheld

    def keep(self, ids: Sequence[str], best: BestAnswers) -> None:
        """Add the answers to some examples."""
        self.texts.update(zip(ids, best.texts, strict=True))
        self.null_odds.update(zip(ids, best.null_odds, strict=True))
        for name, text, span in zip(ids, best.texts, best.spans, strict=True):
            if span and not text:
                self.withheld[name] = span


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
) -> CorpusAnswers:
    """Answer every example of a corpus; the model is put into evaluation mode and left as it was.

    The corpus is processed part by part, so that memory does not grow with its size.

    Args:
        dtype: of the forward pass. loss_labels: also compute the loss against these labels.
        sink: receives the whole predictions, which are not kept here.
        on_batch: called with the number of windows after every batch.
    """
    was_training = model.training
    model.eval()
    answers, loss = CorpusAnswers(), _Loss(loss_labels)
    tokens = batch_tokens(model.device, windows.rules.max_length, decode.eval_batch_size)
    try:
        with linear_weights_cast(model, dtype):
            for part in windows.parts(AT_ONCE):
                began = time.perf_counter()
                collector = AnswerCollector(
                    part.examples, n_best=decode.n_best, squad_v2=squad_v2, null_threshold=null_threshold
                )
                decoder = PartDecoder(part, collector, decode, candidates=sink is not None)
                for batch, logits in batch_logits(
                    model, part.columns, pad_token_id, windows.rules.max_length, dtype, tokens=tokens
                ):
                    decoder.add(batch, logits)
                    loss.add(logits, take(part.columns, batch))
                    if on_batch is not None:
                        on_batch(len(batch))
                decoder.finish()
                answers.keep([example.id for example in part.examples], collector.best())
                answers.seconds += time.perf_counter() - began
                answers.windows += part.windows
                answers.broken_windows += collector.broken_windows
                if sink is not None:
                    for prediction in collector.predictions():
                        sink(prediction)
    finally:
        model.train(was_training)
    answers.loss = loss.mean
    return answers


def batch_tokens(device: torch.device, max_length: int, windows: int) -> int:
    """Most tokens of a batch, padding included: those of `windows` windows of full length, fewer on a CPU."""
    most = windows * max_length
    return min(most, _CPU_TOKENS) if device.type == "cpu" else most


class PartDecoder:
    """Decodes the logits of a part's windows, several batches at a time, and passes the spans to a collector.

    Args:
        decode: the longest answer, and how many candidates.
        candidates: whether predictions are needed; otherwise only the best span of each window is decoded.
    """

    def __init__(self, part: Part, collector: AnswerCollector, decode: DecodeConfig, *, candidates: bool) -> None:
        self.part, self.collector = part, collector
        self.decode, self.candidates = decode, candidates
        self._batches: list[np.ndarray] = []
        self._starts: list[Tensor] = []
        self._ends: list[Tensor] = []
        self._tokens = 0

    def add(self, batch: np.ndarray, logits: SpanLogits) -> None:
        """Add the logits of some rows, (B, L) each."""
        self._batches.append(batch)
        self._starts.append(logits.start)
        self._ends.append(logits.end)
        self._tokens += logits.start.numel()
        if self._tokens >= _DECODED_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Decode the batches that were added since the last call."""
        if self._batches:
            with threads(1):  # too little work to split: on a busy machine, a second thread only adds waiting
                self._decode()
            self._batches, self._starts, self._ends, self._tokens = [], [], [], 0

    def _decode(self) -> None:
        rows = take(self.part.columns, np.concatenate(self._batches))
        starts, ends = _stacked(self._starts), _stacked(self._ends)
        if starts.device.type != "cuda":  # other devices lack some of the operations
            starts, ends = starts.cpu(), ends.cpu()
        mask, longest = end_points(rows, starts.shape[1]).to(starts.device), self.decode.max_answer_length
        if self.candidates:
            # A span's probability sums over the windows where it is a candidate: `n_best` must not change them.
            most = max(self.decode.n_best, DecodeConfig.n_best)
            spans = window_candidates(starts, ends, mask, max_answer_length=longest, k=most)
        else:
            spans = best_spans(starts, ends, mask, max_answer_length=longest)
        on_host, owners = spans.numpy(), rows["example"] - self.part.first
        self.collector.add_batch(owners, character_spans(rows, on_host.start, on_host.end), on_host)


def _stacked(batches: Sequence[Tensor]) -> Tensor:
    """Batches (B, L) of several lengths as one; what pads the shorter ones is undefined, since it is no context."""
    together = [torch.cat([*same]) for _, same in groupby(batches, lambda batch: batch.shape[1])]  # most are equal
    sizes, lengths = zip(*(batch.shape for batch in together), strict=True)
    whole = together[0].new_empty((sum(sizes), max(lengths)))
    for rows, batch in zip(whole.split(sizes), together, strict=True):
        rows[:, : batch.shape[1]] = batch
    return whole


def batch_logits(
    model: SpanModel, columns: Columns, pad_token_id: int, max_length: int, dtype: torch.dtype, *, tokens: int
) -> Iterator[tuple[np.ndarray, SpanLogits]]:
    """The rows of each batch of at most `tokens` tokens, and their logits, (B, L) each; similar lengths together."""
    forward = partial(logits_of, model, columns, pad_token_id, max_length, dtype)
    batches = sorted_batches(columns["length"], tokens, multiple_of=_sides(model.device))
    with _side_by_side(model.device, len(batches)) as each:
        yield from zip(batches, each(forward, batches), strict=True)


@torch.inference_mode()
def logits_of(
    model: SpanModel, columns: Columns, pad_token_id: int, max_length: int, dtype: torch.dtype, batch: np.ndarray
) -> SpanLogits:
    """The logits of a batch of rows, (B, L) each."""
    device = model.device
    inputs = {
        key: tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
        for key, tensor in model_inputs(take(columns, batch), pad_token_id, max_length=max_length).items()
    }
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        return model(**inputs)


def _sides(device: torch.device) -> int:
    """Most batches that are computed at once."""
    return min(torch.get_num_threads(), _SIDES) if device.type == "cpu" else 1


@contextmanager
def _side_by_side(device: torch.device, batches: int) -> Iterator[Callable[..., Iterator[SpanLogits]]]:
    """A `map` over batches that computes several at once on a CPU, each on its share of the cores."""
    sides = min(batches, _sides(device))
    if sides < 2:
        yield map
        return
    together = SideBySide(sides, "batch")
    try:
        with together.working() as pool:
            yield pool.map
    finally:
        together.close()


class _Loss:
    """The mean span loss over all windows with a label; None if it was not requested."""

    def __init__(self, which: Labels | None) -> None:
        self.which, self.labelled = which, 0
        self._total: Tensor | float = 0.0  # on the device, so that nothing waits for it before the end

    @property
    def mean(self) -> float | None:
        return float(self._total) / self.labelled if self.labelled else None

    def add(self, logits: SpanLogits, rows: Columns) -> None:
        if self.which is None:
            return
        device = logits.start.device
        allowed = allowed_tokens(rows, logits.start.shape[1]).to(device)
        wanted = {key: tensor.to(device) for key, tensor in labels(rows, self.which).items()}
        labelled = rows["kind"] != CUT
        values = span_loss(logits, wanted["starts"], wanted["ends"], allowed)
        self._total = self._total + values.masked_fill(torch.from_numpy(~labelled).to(device), 0.0).sum()
        self.labelled += int(labelled.sum())
