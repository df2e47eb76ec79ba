"""Columns as arrays hold what the rows hold, whichever rows are taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value, concatenate_datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from spantune.answering.arrow_arrays import Lists, arrow_columns, list_lengths, take
from spantune.answering.batches import context_mask, end_points, training_batch
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import make_windows
from spantune.config import WindowConfig
from spantune.data import Answer, Corpus, Example

ROWS = st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=12)


@given(lists=ROWS, data=st.data())
@settings(deadline=None)
def test_lists_are_what_they_were_made_of(lists: list[list[int]], data: st.DataObject) -> None:
    made = Lists.of(lists)
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=6))
    for whole, wanted in ((made, lists), (made.take(chosen), [lists[row] for row in chosen])):
        assert [one.tolist() for one in whole] == wanted and len(whole) == len(wanted)
        assert whole.lengths.tolist() == list(map(len, wanted)) == list_lengths(wanted).tolist()
        length = max([len(one) for one in wanted], default=0) + 1
        assert whole.padded(length, 77).tolist() == [one + [77] * (length - len(one)) for one in wanted]
    assert Lists.of(made) is made


@given(lists=ROWS, data=st.data())
@settings(deadline=None)
def test_a_dataset_in_pieces_and_in_part(lists: list[list[int]], data: st.DataObject) -> None:
    rows = {"number": [len(one) for one in lists], "many": lists, "truth": [bool(one) for one in lists]}
    kinds = Features({"number": Value("int32"), "many": List(Value("int32")), "truth": Value("bool")})
    whole = concatenate_datasets([Dataset.from_dict(rows, kinds), Dataset.from_dict(rows, kinds)])
    chosen = data.draw(st.lists(st.integers(0, 2 * len(lists) - 1), min_size=1, max_size=9))
    first = data.draw(st.integers(0, len(lists) - 1))
    for some in (whole, whole.select(chosen), whole.select(range(first, 2 * len(lists)))):
        columns = arrow_columns(some.with_format("arrow")[:])
        assert columns["number"].tolist() == some["number"][:] and columns["truth"].tolist() == some["truth"][:]
        assert [one.tolist() for one in columns["many"]] == some["many"][:]


def test_a_batch_of_columns_is_the_batch_of_its_rows(tiny_tokenizer: Any) -> None:
    text = "Ada built the old mill near the river"
    answers = tuple(Answer(one, text.index(one)) for one in ("old mill", "mill"))
    corpus = Corpus.of([Example("0", "what?", text * 3, answers), Example("1", "who?", text)], "two")
    rules = window_rules(WindowConfig(24, 8), tiny_tokenizer, longest=64, segment_ids=True)
    dataset = make_windows(corpus, tiny_tokenizer, rules, cache=False).dataset
    for chosen in ([0, 1], [len(dataset) - 1, 0, 2]):
        columns, rows = take(arrow_columns(dataset.with_format("arrow")[:]), np.array(chosen)), dataset[chosen]
        for which in ("first", "all"):
            one, other = (training_batch(each, pad_token_id=0, which=which) for each in (columns, rows))
            assert one.keys() == other.keys()
            assert all(one[key].equal(other[key]) for key in one)
        assert context_mask(columns, 24).equal(context_mask(rows, 24))
        assert end_points(columns, 24).equal(end_points(rows, 24))


@pytest.mark.parametrize("rows", [[0], [1, 0]])
def test_nothing_is_copied(rows: list[int]) -> None:
    made = Lists.of([[1, 2], [3]])
    assert made.take(rows).values is made.values
