"""Batches: every row once, in an order that seed and epoch fix, with little padding; and what a batch holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spantune.answering.batches import (
    NO_LABEL,
    LengthBatches,
    character_spans,
    context_mask,
    end_points,
    labels,
    model_inputs,
    padded_length,
    sorted_batches,
    training_batch,
)
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import make_windows
from spantune.config import WindowConfig
from spantune.data import Answer, Corpus, Example

LENGTHS = st.lists(st.integers(3, 400), min_size=1, max_size=300)
QUICK = settings(deadline=None)


def epoch(lengths: list[int], batch_size: int, seed: int, number: int) -> list[list[int]]:
    batches = LengthBatches(lengths, batch_size, seed=seed)
    batches.set_epoch(number)
    return list(batches)


def padding(batches: list[list[int]], lengths: list[int]) -> int:
    """Padding tokens of all batches."""
    return sum(
        len(batch) * max(lengths[row] for row in batch) - sum(lengths[row] for row in batch) for batch in batches
    )


@given(lengths=LENGTHS, batch_size=st.integers(1, 40), seed=st.integers(0, 2**32), number=st.integers(0, 50))
@QUICK
def test_an_epoch_holds_every_row_once(lengths: list[int], batch_size: int, seed: int, number: int) -> None:
    batches = epoch(lengths, batch_size, seed, number)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == len(LengthBatches(lengths, batch_size, seed=seed))
    # Only one batch may be smaller, so that steps weigh the same.
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)
    assert batches == epoch(lengths, batch_size, seed, number)


def test_epochs_and_seeds_have_their_own_order() -> None:
    lengths = np.random.default_rng(0).integers(20, 384, 2000).tolist()
    orders = [epoch(lengths, 16, seed, number) for seed in (0, 1) for number in (0, 1, 2)]
    assert len({str(order) for order in orders}) == 6
    # Batches, too, differ between epochs, not only their order.
    assert not {tuple(batch) for batch in orders[0]} & {tuple(batch) for batch in orders[1]}
    again = LengthBatches(lengths, 16, seed=0)
    first, second = list(again), list(again)
    assert first == second == orders[0], "the order changes with set_epoch alone"


def test_a_batch_pads_much_less_than_a_random_one() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(20, 384, 3000).tolist()
    order = random.permutation(len(lengths)).tolist()
    shuffled = [order[at : at + 16] for at in range(0, len(order), 16)]
    assert padding(epoch(lengths, 16, 0, 0), lengths) < 0.1 * padding(shuffled, lengths)


def test_questions_of_one_context_are_not_batched_together() -> None:
    """Their windows differ by a few tokens only; a batch of them would say little about the other contexts."""
    random = np.random.default_rng(0)
    contexts = np.repeat(np.arange(160), 5)
    lengths = random.integers(100, 384, 160).repeat(5) + random.integers(8, 16, 800)
    distinct = [len(set(contexts[batch])) for batch in epoch(lengths.tolist(), 8, 0, 0)]
    assert np.mean(distinct) > 6


def test_batches_are_not_in_the_order_of_their_lengths() -> None:
    lengths = np.random.default_rng(0).integers(20, 384, 3000).tolist()
    longest = [max(lengths[row] for row in batch) for batch in epoch(lengths, 16, 0, 0)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2


@given(lengths=LENGTHS, tokens=st.integers(1, 3000))
@QUICK
def test_evaluation_begins_with_the_longest_and_keeps_to_its_tokens(lengths: list[int], tokens: int) -> None:
    batches = sorted_batches(lengths, tokens)
    order = [row for batch in batches for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
    padded = [padded_length(lengths[batch[0]], tokens) for batch in batches]
    assert all(len(batch) * length <= tokens or len(batch) == 1 for batch, length in zip(batches, padded, strict=True))
    # One row more would have been too much.
    assert all((len(batch) + 1) * length > tokens for batch, length in zip(batches[:-1], padded, strict=False))


@given(lengths=LENGTHS, tokens=st.integers(400, 3000), sides=st.integers(2, 8))
@QUICK
def test_batches_side_by_side_end_together(lengths: list[int], tokens: int, sides: int) -> None:
    plain, batches = sorted_batches(lengths, tokens), sorted_batches(lengths, tokens, multiple_of=sides)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) * padded_length(lengths[batch[0]], tokens) <= tokens for batch in batches)
    assert len(plain) <= len(batches) < len(plain) + sides
    sums = [sum(lengths[row] for row in batch) for batch in batches]
    if len(batches) != len(plain):
        assert len(batches) % sides == 0
        assert max(sums) - min(sums) <= 2 * max(lengths)


def test_few_batches_are_shared_out_evenly() -> None:
    lengths = [300] * 30
    assert [len(batch) for batch in sorted_batches(lengths, 3040)] == [10, 10, 10]
    assert [len(batch) for batch in sorted_batches(lengths, 3040, multiple_of=2)] == [7, 8, 7, 8]
    assert [len(batch) for batch in sorted_batches([300], 3040, multiple_of=2)] == [1]
    assert sorted_batches([], 3040, multiple_of=2) == []


ROWS: dict[str, Any] = {
    "input_ids": [[2, 7, 3, 8, 9, 3], [2, 7, 3, 8, 3]],
    "token_type_ids": [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1]],
    "context_first": [3, 3],
    "offsets": [[0, 4, 5, 9], [0, 3]],
    "blank": [[4], []],
    "starts": [[3, 4], []],
    "ends": [[4, 4], []],
    "kind": [0, 1],
}


def test_what_a_batch_holds() -> None:
    batch = training_batch(ROWS, pad_token_id=99, which="all")
    assert batch["input_ids"].tolist() == [[2, 7, 3, 8, 9, 3], [2, 7, 3, 8, 3, 99]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1] * 5 + [0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]
    assert batch["starts"].tolist() == [[3, 4], [0, NO_LABEL]] and batch["ends"].tolist() == [[4, 4], [0, NO_LABEL]]
    assert batch["allowed"].int().tolist() == [[1, 0, 0, 1, 1, 0], [1, 0, 0, 1, 0, 0]]
    assert all(tensor.dtype in (torch.int64, torch.bool) for tensor in batch.values())


def test_the_first_answer_alone() -> None:
    assert {key: value.tolist() for key, value in labels(ROWS, "first").items()} == {
        "starts": [[3], [0]],
        "ends": [[4], [0]],
    }


def test_masks_stand_on_the_context_alone() -> None:
    assert context_mask(ROWS, 6).int().tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0, 0]]
    assert end_points(ROWS, 6).int().tolist() == [[0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0]]


def test_token_spans_as_characters() -> None:
    starts, ends = np.array([[3, 3, 4], [3, 0, 0]]), np.array([[4, 3, 4], [3, 0, 0]])
    found = character_spans(ROWS, starts, ends)
    assert found[0].tolist() == [[0, 9], [0, 4], [5, 9]] and found[1, 0].tolist() == [0, 3]
    assert found.shape == (2, 3, 2), "empty slots say anything, but are there"


def test_no_segment_ids_where_the_rows_have_none() -> None:
    assert "token_type_ids" not in model_inputs({"input_ids": [[1], [2, 3]]}, 0)


@pytest.mark.parametrize("which", ["first", "all"])
def test_batches_of_windows(tiny_tokenizer: Any, which: Any) -> None:
    """From the text: labels of a batch point at the tokens that the text of the answer makes."""
    text = "Ada built the old mill near the river"
    answers = tuple(Answer(one, text.index(one)) for one in ("old mill", "mill"))
    corpus = Corpus.of([Example("0", "what?", text, answers), Example("1", "who painted it?", text)], "two")
    rules = window_rules(WindowConfig(32, 8), tiny_tokenizer, longest=64, segment_ids=True)
    windows = make_windows(corpus, tiny_tokenizer, rules, cache=False)
    batch = training_batch(windows.dataset[:], pad_token_id=0, which=which)
    spelled = [
        tiny_tokenizer.decode(batch["input_ids"][0, start : end + 1])
        for start, end in zip(batch["starts"][0], batch["ends"][0], strict=True)
    ]
    assert spelled == (["old mill"] if which == "first" else ["old mill", "mill"])
    assert batch["starts"][1, 0] == batch["ends"][1, 0] == 0


@pytest.mark.parametrize(("longest", "limit", "expected"), [(17, 384, 32), (32, 384, 32), (375, 380, 380), (5, 5, 5)])
def test_lengths_are_rounded_up_to_few_but_never_past_the_window(longest: int, limit: int, expected: int) -> None:
    rows = {"input_ids": [[1] * longest, [1, 2]]}
    inputs = model_inputs(rows, 0, max_length=limit)
    assert inputs["input_ids"].shape == (2, expected)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [longest, 2]
