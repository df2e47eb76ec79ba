"""Which tensors hold something that is no number."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from spantune.modeling.load_errors import not_numbers

KINDS = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


@given(st.lists(st.floats(width=16), max_size=6), KINDS)
def test_it_says_what_isfinite_says(values: list[float], kind: torch.dtype) -> None:
    tensor = torch.tensor(values, dtype=kind)
    assert not_numbers([("one", tensor), ("good", torch.ones(2))]) == ["one"] * (not tensor.isfinite().all())


def test_tensors_that_can_hold_nothing_else() -> None:
    tensors = {"none": torch.empty(0), "whole": torch.tensor([1, 2]), "true": torch.tensor([True])}
    assert not_numbers(tensors.items()) == []
