"""What a step needs, against the formula written out for a small BERT (width 32, 2 layers, inner width 64)."""

from __future__ import annotations

import pytest

from benchmarks.flops import StepCost, step_cost
from benchmarks.plan import Plan

WIDTH, INNER, LAYERS = 32, 64, 2
LINEAR = [(WIDTH, WIDTH)] * 4 + [(WIDTH, INNER), (INNER, WIDTH)]  # query, key, value, output, feed-forward
HEAD = 2.0 * WIDTH * 2
ATTENTION = 4.0 * WIDTH * LAYERS


def forward() -> float:
    """Operations a token in the linear layers."""
    return LAYERS * sum(2.0 * into * out for into, out in LINEAR)


def test_full_fine_tuning_needs_three_forward_passes(plan: Plan) -> None:
    cost = step_cost(plan.model, "full")
    assert cost.linear == pytest.approx(3 * (forward() + HEAD))
    assert cost.quadratic == pytest.approx(3 * ATTENTION)
    assert cost.fixed == pytest.approx(0, abs=1)


def test_a_head_alone_needs_no_gradient_of_the_encoder(plan: Plan) -> None:
    cost = step_cost(plan.model, "head-only")
    assert cost.linear == pytest.approx(forward() + 2 * HEAD)
    assert cost.quadratic == pytest.approx(ATTENTION)


def test_lora_needs_no_gradient_of_frozen_weights_nor_below_its_first(plan: Plan) -> None:
    rank = 16
    first = 3 * 2.0 * WIDTH * WIDTH  # query, key and value of the first layer: nothing below them learns
    frozen = 2 * forward() - first
    downs = LAYERS * sum(3 * 2.0 * into * rank for into, _ in LINEAR) - 3 * 2.0 * WIDTH * rank
    ups = LAYERS * sum(3 * 2.0 * rank * out for _, out in LINEAR)
    cost = step_cost(plan.model, "lora")
    assert cost.linear == pytest.approx(frozen + downs + ups + 3 * HEAD)
    assert cost.quadratic == pytest.approx(3 * ATTENTION)


def test_a_prefix_costs_by_the_token(plan: Plan) -> None:
    """V virtual tokens are keys and values: L·V more in the attention, nothing that grows with L²."""
    cost = step_cost(plan.model, "prefix-tuning")
    assert cost.quadratic <= 3 * ATTENTION
    assert cost.linear > 2 * forward() - 3 * 2.0 * WIDTH * WIDTH


def test_costs_of_windows_add_up() -> None:
    cost = StepCost(fixed=1, linear=2, quadratic=3)
    assert cost.of([2, 3]) == (1 + 4 + 12) + (1 + 6 + 27)
    assert cost.of([]) == 0
