"""Windows through a model to predictions: the one loop behind evaluation, prediction and the best-checkpoint score."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from spantune.config import DecodeConfig, Labels
from spantune.evaluation.answers import AnswerCollector, Prediction
from spantune.evaluation.decoding import window_candidates
from spantune.features.batches import context_mask, labels, model_inputs, sorted_batches, token_offsets
from spantune.features.windows import CUT, Windows
from spantune.modeling import SpanModel
from spantune.modeling.loss import span_loss


@dataclass(frozen=True)
class Answers:
    """What a pass over a corpus gave.

    Attributes:
        predictions: one an example, in the corpus' order.
        loss: mean over labelled windows, where it was asked for.
        seconds: forward and decoding. windows: how many. broken_windows: those whose logits were not finite.
    """

    predictions: list[Prediction]
    loss: float | None
    seconds: float
    windows: int
    broken_windows: int


@torch.inference_mode()
def answer_windows(
    model: SpanModel,
    windows: Windows,
    *,
    pad_token_id: int,
    decode: DecodeConfig,
    dtype: torch.dtype,
    squad_v2: bool = False,
    null_threshold: float = 0.0,
    loss_labels: Labels | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Answers:
    """Answer every example of a corpus; the model is put into evaluation mode and left in the mode it was in.

    Args:
        dtype: of the forward pass. loss_labels: also measure the loss against these labels.
        on_batch: told the number of windows after every batch.
    """
    was_training = model.training
    model.eval()
    device, began = model.device, time.perf_counter()
    collector = AnswerCollector(
        windows.corpus.examples, n_best=decode.n_best, squad_v2=squad_v2, null_threshold=null_threshold
    )
    losses, labelled = 0.0, 0
    for batch in sorted_batches(windows.lengths, decode.eval_batch_size):
        rows = windows.dataset[batch]
        made = model_inputs(rows, pad_token_id, max_length=windows.rules.max_length)
        inputs = {key: tensor.to(device, non_blocking=True) for key, tensor in made.items()}
        length = inputs["input_ids"].shape[1]
        mask = context_mask(rows, length).to(device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(**inputs)
        spans = window_candidates(
            logits.start, logits.end, mask, max_answer_length=decode.max_answer_length, k=decode.n_best
        )
        collector.add_batch(rows["example"], token_offsets(rows, length), spans.numpy())
        if loss_labels is not None:
            wanted = {key: tensor.to(device) for key, tensor in labels(rows, loss_labels).items()}
            mask[:, 0] = True
            values = span_loss(logits, wanted["starts"], wanted["ends"], mask)
            counted = torch.tensor([kind != CUT for kind in rows["kind"]], device=device)
            losses += float(values[counted].sum())
            labelled += int(counted.sum())
        if on_batch is not None:
            on_batch(len(batch))
    model.train(was_training)
    return Answers(
        predictions=collector.predictions(),
        loss=losses / labelled if labelled else None,
        seconds=time.perf_counter() - began,
        windows=len(windows),
        broken_windows=collector.broken_windows,
    )
