"""From logits to the best spans of each window, exactly and for a whole batch at once.

Two facts make it cheap, however long answers may be. A span of the K best starts at one of the K starts whose best span
is highest, so that only K·W of the L·W spans are ever scored (W: longest answer). And the best end, or the sum over all
ends, of every start is a sliding reduction, which doubling computes in about 2·log2(W) steps over (B, L).

Scoring wants only the best span: `best_spans` is the short way to the first of the K.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_LOW = 2**32 - 1
_LOST = 1e-26
"""A sum of exponentials above this has lost less than a rounding error to underflow."""


Values = TypeVar("Values", Tensor, np.ndarray)


class WindowSpans(NamedTuple, Generic[Values]):
    """The K best spans of each window, best first; equal scores: earlier start, then earlier end.

    A slot that no valid span fills has score -inf and token 0.
    """

    start: Values
    """(B, K) first token."""
    end: Values
    """(B, K) last token, inclusive."""
    score: Values
    """(B, K) start logit + end logit, fp32."""
    null_score: Values
    """(B,) score of "no answer": start + end logit of the classification token."""
    log_partition: Values | None = None
    """(B,) logsumexp of the scores of all valid spans, -inf if there is none: the denominator of probabilities."""

    def numpy(self: WindowSpans[Tensor]) -> WindowSpans[np.ndarray]:  # type: ignore[misc]
        """A copy on the host (the one place that waits for the device)."""
        start, end, score, null_score = (tensor.cpu().numpy() for tensor in self[:4])
        total = None if self.log_partition is None else self.log_partition.cpu().numpy()
        return WindowSpans(start, end, score, null_score, total)


@torch.no_grad()
def window_candidates(
    start_logits: Tensor,
    end_logits: Tensor,
    context_mask: Tensor,
    *,
    max_answer_length: int,
    k: int,
) -> WindowSpans[Tensor]:
    """The `k` best spans of each window among all spans whose first and last token lie in the context.

    Args:
        start_logits, end_logits: (B, L), any floating type; the classification token is the first.
        context_mask: (B, L) bool, True on context tokens. A hole bars a token as an end point, not spans across it.
        max_answer_length: longest span in tokens, 1 or more.
        k: candidates of a window; may exceed the number of valid spans.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    logits = _Masked.of(start_logits, end_logits, context_mask, max_answer_length)
    length, width = logits.starts.shape[1], logits.width
    places = torch.arange(length, device=start_logits.device)
    kept = _top(logits.best_from(), places.expand_as(logits.starts), min(k, length))[1]  # (B, S)
    scores = logits.starts.gather(1, kept).unsqueeze(2) + logits.ends_from(kept)  # (B, S, W)
    places = kept.unsqueeze(2) * width + torch.arange(width, device=kept.device)
    score, place = _top(scores.flatten(1), places.flatten(1), min(k, kept.shape[1] * width))  # (B, K)
    missing = (0, k - score.shape[1])
    start, offset = (functional.pad(indices, missing) for indices in (place // width, place % width))
    score = functional.pad(score, missing, value=-math.inf)
    return _without_empty(start, start + offset, score, logits.null_score, logits.log_partition())


@torch.no_grad()
def best_spans(
    start_logits: Tensor, end_logits: Tensor, context_mask: Tensor, *, max_answer_length: int
) -> WindowSpans[Tensor]:
    """The best span of each window: the first of `window_candidates` (K = 1), without its log partition.

    Args:
        start_logits, end_logits, context_mask, max_answer_length: see `window_candidates`.
    """
    logits = _Masked.of(start_logits, end_logits, context_mask, max_answer_length)
    best_from = logits.best_from()
    start = _first_highest(best_from)
    scores = logits.starts.gather(1, start) + logits.ends_from(start).squeeze(1)  # (B, W)
    end = start + _first_highest(scores)
    return _without_empty(start, end, scores.amax(dim=1, keepdim=True), logits.null_score, None)


class _Masked(NamedTuple):
    """Logits in fp32, -inf outside the context.

    Attributes:
        starts: (B, L). ends: (B, L + W - 1), with -inf after the window. width: W. null_score: (B,).
    """

    starts: Tensor
    ends: Tensor
    width: int
    null_score: Tensor

    @classmethod
    def of(cls, starts: Tensor, ends: Tensor, mask: Tensor, max_answer_length: int) -> _Masked:
        if max_answer_length < 1:
            raise ValueError(f"max_answer_length must be 1 or more, got {max_answer_length}")
        width = min(max_answer_length, starts.shape[1])
        starts, ends = starts.float(), ends.float()
        null_score = starts[:, 0] + ends[:, 0]
        outside = starts.new_full((), -math.inf)
        padded = ends.new_full((ends.shape[0], ends.shape[1] + width - 1), -math.inf)
        torch.where(mask, ends, outside, out=padded[:, : ends.shape[1]])
        return cls(torch.where(mask, starts, outside), padded, width, null_score)

    def best_from(self) -> Tensor:
        """(B, L) score of the best span from every start."""
        return self.starts + _sliding_max(self.ends, self.width)

    def ends_from(self, starts: Tensor) -> Tensor:
        """(B, S, W) logits of all ends that spans from the starts (B, S) may have."""
        rows = torch.arange(len(starts), device=starts.device).unsqueeze(1)
        return self.ends.unfold(1, self.width, 1)[rows, starts]

    def log_partition(self) -> Tensor:
        """(B,) logsumexp of the scores of all spans."""
        if self.starts.device.type != "cpu":  # whether a sum is lost could be seen only by waiting for the device
            return self._log_partition_of_any()
        tops = [top.masked_fill(top == -math.inf, 0) for top in (self.starts.amax(1, True), self.ends.amax(1, True))]
        starts, ends = ((logits - top).exp() for logits, top in zip((self.starts, self.ends), tops, strict=True))
        total = (starts * _sliding(ends, self.width, torch.add)).sum(dim=1)
        partition = total.log() + tops[0].squeeze(1) + tops[1].squeeze(1)
        lost = (total < _LOST).nonzero().squeeze(1)
        if len(lost):
            rows = _Masked(self.starts[lost], self.ends[lost], self.width, self.null_score[lost])
            partition[lost] = rows._log_partition_of_any()
        return partition

    def _log_partition_of_any(self) -> Tensor:
        """The same where start and end logits of valid spans may lie any distance below the highest ones."""
        return torch.logsumexp(self.starts + _sliding(self.ends, self.width, torch.logaddexp), dim=1)


def _first_highest(values: Tensor) -> Tensor:
    """(B, 1) place of the highest of (B, N) values, of equal ones the first."""
    if values.device.type == "cpu":  # numpy takes a sixth of the time there
        return torch.from_numpy(values.numpy().argmax(axis=1, keepdims=True))
    return values.argmax(dim=1, keepdim=True)


def _without_empty(
    start: Tensor, end: Tensor, score: Tensor, null_score: Tensor, log_partition: Tensor | None
) -> WindowSpans[Tensor]:
    empty = score == -math.inf
    return WindowSpans(start.masked_fill(empty, 0), end.masked_fill(empty, 0), score, null_score, log_partition)


def _top(scores: Tensor, places: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` highest scores (B, count) and their places, equal scores in order of their places.

    Score and place become one integer, so that no two are equal and any way of sorting gives the same order on every
    device and in every batch.

    Args:
        scores: (B, N) fp32. places: (B, N) from 0 to below 2^32.
    """
    packed = (_in_order((scores + 0.0).view(torch.int32)).long() << 32) + (_LOW - places)  # + 0.0: no negative zero
    packed = packed.topk(count, dim=1).values
    return _in_order((packed >> 32).int()).view(torch.float32), _LOW - (packed & _LOW)


def _in_order(bits: Tensor) -> Tensor:
    """The bits of fp32 as integers that compare as the numbers do, and back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _sliding_max(values: Tensor, width: int) -> Tensor:
    """The highest of values[:, i : i + width] for every i. (B, L + width - 1) to (B, L)."""
    length = values.shape[1] - width + 1
    block, size = values, 1  # block[:, i] covers values[:, i : i + size]
    while 2 * size <= width:
        block, size = torch.maximum(block[:, :-size], block[:, size:]), 2 * size
    return torch.maximum(block[:, :length], block[:, width - size : width - size + length])


def _sliding(values: Tensor, width: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`combine` over values[:, i : i + width] for every i. (B, L + width - 1) to (B, L).

    The ranges that are joined never overlap, so that sums count nothing twice.
    """
    length = values.shape[1] - width + 1
    block, size = values, 1  # block[:, i] covers values[:, i : i + size]
    total, covered = None, 0
    while True:
        if width & size:
            part = block[:, covered : covered + length]
            total = part if total is None else combine(total, part)
            covered += size
        if total is not None and covered == width:
            return total
        block, size = combine(block[:, :-size], block[:, size:]), size * 2
