"""The losses of span extraction."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spantune.modeling.span_model import SpanLogits


def span_loss(logits: SpanLogits, starts: Tensor, ends: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy of start and end, averaged as in the code of Devlin et al. 2019, for each window: (B,).

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
        log_probability = _log_softmax(scores, allowed).gather(1, labels.clamp(min=0))
        both = both - (weight * log_probability).sum(dim=1)
    return both / 2


def distillation_loss(logits: SpanLogits, taught: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of start and end from what teachers say, averaged, for each window: (B,).

    Times the squared temperature, so that its gradient keeps its size whatever the temperature (Hinton, Vinyals and
    Dean 2015, section 2, arXiv:1503.02531).

    Args:
        logits: (B, L) each. allowed: as for `span_loss`.
        taught: (B, 2, L) the teachers' probabilities of start and end, at this temperature; all 0: no loss.
    """
    divergence = functional.kl_div(_of_both(logits, allowed, temperature), taught, reduction="none").sum(dim=2)
    return temperature**2 * divergence.mean(dim=1)


def span_probabilities(logits: SpanLogits, allowed: Tensor, temperature: float) -> Tensor:
    """Probabilities of start and end at a temperature, (B, 2, L); 0 where it is not `allowed`."""
    return _of_both(logits, allowed, temperature).exp()


def _of_both(logits: SpanLogits, allowed: Tensor, temperature: float) -> Tensor:
    both = torch.stack([logits.start, logits.end], dim=1).float() / temperature
    return _log_softmax(both, allowed[:, None])


def _log_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Along the last axis, in fp32, among the allowed tokens; the others get the lowest number there is."""
    masked = scores.float().masked_fill(~allowed, torch.finfo(torch.float32).min)
    return functional.log_softmax(masked, dim=-1)
