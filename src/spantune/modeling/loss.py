"""The loss of span extraction."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spantune.modeling.span_model import SpanLogits


def span_loss(logits: SpanLogits, starts: Tensor, ends: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy of start and end, averaged (Devlin et al. 2019, section 4.2), for each window: (B,).

    Args:
        logits: (B, L) each.
        starts, ends: (B, A) labels, one column an accepted answer, each with an equal share; negative: no label.
        allowed: (B, L) bool, the tokens among which the softmax chooses. Padding and question are outside, so that a
            window's loss does not depend on the batch it is in.
    """
    weight = (starts >= 0).float()
    weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
    both = torch.zeros(len(starts), device=starts.device)
    for scores, labels in ((logits.start, starts), (logits.end, ends)):
        masked = scores.float().masked_fill(~allowed, torch.finfo(torch.float32).min)
        log_probability = functional.log_softmax(masked, dim=1).gather(1, labels.clamp(min=0))
        both = both - (weight * log_probability).sum(dim=1)
    return both / 2
