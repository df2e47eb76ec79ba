"""The formulas cover every method, and what no formula of a cell says: all of full fine-tuning, and what is saved.

The contract compares each cell with its formula.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import REFUSED, VARIANTS, Cell
from formulas import DIFFERENT, FORMULAS, HEAD, LAYER, D, E, N, T, V
from tiny import ANSWERING

from spantune.methods import methods
from spantune.modeling import load, save

CellOf = Callable[[str, str], Cell]


def test_every_method_has_a_formula() -> None:
    assert {*FORMULAS, "full"} == {*methods(), *VARIANTS}
    assert not REFUSED.keys() & DIFFERENT.keys()


@pytest.mark.parametrize(("family", "segments"), [("bert", 2), ("distilbert", 0)])
def test_everything_learns_in_full_fine_tuning(family: str, segments: int, cell_of: CellOf) -> None:
    cell = cell_of("full", family)
    counted, words = cell.build().count_parameters(), len(cell.encoder.tokenizer)
    assert counted.trainable == counted.total == (words + 64 + segments) * D + 2 * D + N * LAYER + HEAD
    assert counted.share == 1


@pytest.mark.parametrize(
    ("name", "family", "saved"),
    [
        ("prompt-encoder", "bert", V * D),
        ("prompt-encoder+lstm", "distilbert", V * D),
        ("prompt-encoder+lstm", "electra", V * E),
        ("prefix-tuning+projection", "bert", V * N * 2 * D),
        ("prefix-tuning+projection", "albert", V * 2 * D),
        ("prefix-tuning+projection", "mobilebert", V * N * 2 * T),
    ],
)
def test_what_is_saved_is_the_virtual_tokens_alone(
    name: str, family: str, saved: int, cell_of: CellOf, tmp_path: Path
) -> None:
    cell = cell_of(name, family)
    save(cell.build(), tmp_path, settings=ANSWERING, tokenizer=cell.encoder.tokenizer)
    loaded: Any = load(tmp_path).model.count_parameters()
    assert loaded.trainable == saved + HEAD and loaded.head == HEAD
