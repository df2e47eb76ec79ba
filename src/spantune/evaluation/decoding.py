"""From logits to the best spans of each window, exactly and for a whole batch at once.

Two facts make it cheap, however long answers may be. A span of the K best starts at one of the K starts whose best span
is highest, so that only K·W of the L·W spans are ever scored (W: longest answer). And the best end, or the sum over all
ends, of every start is a sliding reduction, which doubling computes in about 2·log2(W) steps over (B, L).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


class WindowSpans(NamedTuple):
    """`WindowCandidates` as numpy arrays on the host: what `answers.AnswerCollector` takes."""

    start: np.ndarray
    end: np.ndarray
    score: np.ndarray
    log_partition: np.ndarray
    null_score: np.ndarray


class WindowCandidates(NamedTuple):
    """The K best spans of each window, best first; equal scores: earlier start, then earlier end.

    A slot that no valid span fills has score -inf and stands at token 0.
    """

    start: Tensor
    """(B, K) first token."""
    end: Tensor
    """(B, K) last token, inclusive."""
    score: Tensor
    """(B, K) start logit + end logit, fp32."""
    log_partition: Tensor
    """(B,) logsumexp of the scores of all valid spans; -inf where there is none."""
    null_score: Tensor
    """(B,) score of "no answer": start + end logit of the classification token."""

    def numpy(self) -> WindowSpans:
        """Copied to the host (the one place that waits for the device)."""
        return WindowSpans(*(tensor.cpu().numpy() for tensor in self))


@torch.no_grad()
def window_candidates(
    start_logits: Tensor,
    end_logits: Tensor,
    context_mask: Tensor,
    *,
    max_answer_length: int,
    k: int,
    cls_index: int = 0,
) -> WindowCandidates:
    """The `k` best spans of each window among all spans whose first and last token lie in the context.

    Args:
        start_logits, end_logits: (B, L), any floating type.
        context_mask: (B, L) bool, True on context tokens. A hole bars a token as an end point, not spans across it.
        max_answer_length: longest span in tokens, 1 or more.
        k: candidates of a window; may exceed the number of valid spans.
        cls_index: position of the classification token.
    """
    if max_answer_length < 1 or k < 1:
        raise ValueError(f"max_answer_length and k must be 1 or more, got {max_answer_length} and {k}")
    length = start_logits.shape[1]
    width = min(max_answer_length, length)
    starts, ends = start_logits.float(), end_logits.float()
    null_score = starts[:, cls_index] + ends[:, cls_index]
    starts, ends = (logits.masked_fill(~context_mask, -math.inf) for logits in (starts, ends))

    best_from = starts + _sliding(ends, width, torch.maximum)  # (B, L)
    log_partition = torch.logsumexp(starts + _sliding(ends, width, torch.logaddexp), dim=1)

    # Kept starts in text order, and stable sorts, make ties the same on every device and in every batch.
    kept = _top(best_from, min(k, length))[1].sort(dim=1).values  # (B, S)
    end_positions = kept.unsqueeze(2) + torch.arange(width, device=kept.device)  # (B, S, W)
    padded = functional.pad(ends, (0, width - 1), value=-math.inf)
    batch, flat = kept.shape[0], kept.shape[1] * width
    scores = starts.gather(1, kept).unsqueeze(2) + padded.gather(1, end_positions.view(batch, flat)).view_as(
        end_positions
    )

    score, place = _top(scores.view(batch, flat), min(k, flat))  # (B, K)
    start = kept.gather(1, place // width)
    end = start + place % width
    missing = score == -math.inf
    found = (start.masked_fill(missing, 0), end.masked_fill(missing, 0), score)
    fills = (0, 0, -math.inf)
    padding = (0, k - score.shape[1])
    start, end, score = (functional.pad(one, padding, value=fill) for one, fill in zip(found, fills, strict=True))
    return WindowCandidates(start, end, score, log_partition, null_score)


def _top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Like `topk` along dim 1, equal values in order of their position."""
    ordered, places = values.sort(dim=1, descending=True, stable=True)
    return ordered[:, :count], places[:, :count]


def _sliding(values: Tensor, width: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`combine` over values[:, i : i + width] for every i; behind the last value stands -inf. (B, L) to (B, L).

    The ranges that are joined never overlap, so that sums count nothing twice.
    """
    block, size = values, 1  # block[:, i] covers values[:, i : i + size]
    total, covered = None, 0
    while True:
        if width & size:
            part = _shifted(block, covered)
            total = part if total is None else combine(total, part)
            covered += size
        if total is not None and covered == width:
            return total
        block, size = combine(block, _shifted(block, size)), size * 2


def _shifted(values: Tensor, by: int) -> Tensor:
    """values[:, i + by] at i; -inf behind the end."""
    return functional.pad(values[:, by:], (0, by), value=-math.inf) if by else values
