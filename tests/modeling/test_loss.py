"""The span loss against PyTorch's own cross entropy, and what must not change it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spantune.modeling import SpanLogits, build
from spantune.modeling.loss import distillation_loss, span_loss, span_probabilities

B, L = 3, 8
LABELS = torch.tensor([[3], [0], [5]]), torch.tensor([[4], [0], [5]])


@pytest.fixture
def logits() -> SpanLogits:
    torch.manual_seed(0)
    return SpanLogits(3 * torch.randn(B, L), 3 * torch.randn(B, L))


def context(first: int = 2, last: int = 6) -> Tensor:
    """Token 0 and those of the context are allowed."""
    allowed = torch.zeros(B, L, dtype=torch.bool)
    allowed[:, 0] = True
    allowed[:, first : last + 1] = True
    return allowed


def test_it_is_cross_entropy_where_every_token_is_allowed(logits: SpanLogits) -> None:
    everywhere = torch.ones(B, L, dtype=torch.bool)
    start, end = (
        functional.cross_entropy(scores, labels[:, 0], reduction="none")
        for scores, labels in zip(logits, LABELS, strict=True)
    )
    torch.testing.assert_close(span_loss(logits, *LABELS, everywhere), (start + end) / 2)


def test_it_is_cross_entropy_among_the_allowed_tokens(logits: SpanLogits) -> None:
    kept = [0, 2, 3, 4, 5, 6]
    place = {token: number for number, token in enumerate(kept)}
    expected = torch.zeros(B)
    for scores, labels in zip(logits, LABELS, strict=True):
        target = torch.tensor([place[int(label)] for label in labels[:, 0]])
        expected += functional.cross_entropy(scores[:, kept], target, reduction="none") / 2
    torch.testing.assert_close(span_loss(logits, *LABELS, context()), expected)


def test_question_and_padding_do_not_change_it(logits: SpanLogits) -> None:
    loud = SpanLogits(*(scores.clone() for scores in logits))
    for scores in loud:
        scores[:, 1] = 50.0  # question
        scores[:, 7] = -70.0  # padding
    assert torch.equal(span_loss(logits, *LABELS, context()), span_loss(loud, *LABELS, context()))
    longer = SpanLogits(*(functional.pad(scores, (0, 5), value=9.0) for scores in logits))
    torch.testing.assert_close(
        span_loss(longer, *LABELS, functional.pad(context(), (0, 5))), span_loss(logits, *LABELS, context())
    )


def test_several_answers_have_equal_shares(logits: SpanLogits) -> None:
    none = torch.full((B, 1), -1)
    others = torch.tensor([[6], [-1], [3]])
    both = span_loss(logits, torch.cat([LABELS[0], others], 1), torch.cat([LABELS[1], others], 1), context())
    first = span_loss(logits, *LABELS, context())
    second = span_loss(logits, others.clamp(min=0), others.clamp(min=0), context())
    torch.testing.assert_close(both[[0, 2]], ((first + second) / 2)[[0, 2]])
    assert both[1] == first[1]
    assert torch.equal(span_loss(logits, *(torch.cat([labels, none], 1) for labels in LABELS), context()), first)


def test_half_precision_logits_lose_nothing_more() -> None:
    scores = torch.linspace(-8, 8, B * L).view(B, L)
    half = SpanLogits(scores.bfloat16(), scores.bfloat16())
    back = SpanLogits(half.start.float(), half.end.float())
    loss = span_loss(half, *LABELS, context())
    assert loss.dtype == torch.float32 and torch.equal(loss, span_loss(back, *LABELS, context()))
    assert torch.isfinite(span_loss(SpanLogits(half.start * 1e30, half.end * 1e30), *LABELS, context())).all()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_distillation_is_the_divergence_from_the_teacher(temperature: float, logits: SpanLogits) -> None:
    teacher = SpanLogits(torch.randn(B, L), torch.randn(B, L))
    kept = context()[0].nonzero().flatten()
    expected = torch.zeros(B)
    for ours, theirs in zip(logits, teacher, strict=True):
        said = (theirs[:, kept] / temperature).softmax(1)
        own = (ours[:, kept] / temperature).softmax(1)
        expected += temperature**2 * (said * (said.log() - own.log())).sum(1) / 2
    taught = span_probabilities(teacher, context(), temperature)
    assert taught.shape == (B, 2, L) and not taught[:, :, 1].any() and not taught[:, :, 7].any()
    torch.testing.assert_close(distillation_loss(logits, taught, context(), temperature), expected)
    own = span_probabilities(logits, context(), temperature)
    torch.testing.assert_close(
        distillation_loss(logits, own, context(), temperature), torch.zeros(B), rtol=0, atol=1e-5
    )
    assert not distillation_loss(logits, torch.zeros_like(own), context(), temperature).any(), "no lesson, no loss"


def test_distillation_ignores_question_and_padding_and_keeps_the_gradient_finite(logits: SpanLogits) -> None:
    taught = torch.zeros(B, 2, L)
    taught[:, :, 3] = 1.0  # a teacher that is sure: every other probability is 0
    loud = SpanLogits(*(scores.clone().requires_grad_() for scores in logits))
    with torch.no_grad():
        for scores in loud:
            scores[:, 1], scores[:, 7] = 50.0, -70.0
    there = distillation_loss(loud, taught, context(), 2.0)
    assert torch.equal(there, distillation_loss(logits, taught, context(), 2.0))
    there.sum().backward()
    for scores in loud:
        assert scores.grad is not None and scores.grad.isfinite().all() and not scores.grad[:, [1, 7]].any()


def test_accumulating_changes_no_gradient(tiny_encoder: Path, inputs_of: Callable[[Path], Any]) -> None:
    """Unequal micro-batches, each divided by the windows of the whole step, add up to the gradient of one batch."""
    inputs = inputs_of(tiny_encoder)
    starts = ends = torch.tensor([[6], [0], [8]])
    allowed = inputs["attention_mask"].bool()
    gradients = []
    for pieces in ([slice(0, 3)], [slice(0, 1), slice(1, 3)]):
        model = build(str(tiny_encoder), "lora")
        for piece in pieces:
            # Padded to the longest of the piece only, as a loader does.
            length = int(inputs["attention_mask"][piece].sum(1).max())
            logits = model({**inputs}["input_ids"][piece, :length], inputs["attention_mask"][piece, :length])
            losses = span_loss(logits, starts[piece], ends[piece], allowed[piece, :length])
            (losses.sum() / 3).backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
