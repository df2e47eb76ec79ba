"""A corpus read part by part: every window once, with its example's others, from the cache or made on the way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spantune.answering.window_rules import WindowRules, window_rules
from spantune.answering.windows import Part, StreamedWindows, Windows, make_windows
from spantune.config import WindowConfig
from spantune.data import Answer, Corpus, Example

SIZES = (1, 3, 7, 1000)


@pytest.fixture
def corpus() -> Corpus:
    """23 questions on contexts of one to several windows."""
    texts = ["a lamp " * (1 + 5 * (number % 4)) + "fell in 1902" for number in range(23)]
    return Corpus.of(
        [Example(str(n), "When?", text, (Answer("1902", text.index("1902")),)) for n, text in enumerate(texts)], "parts"
    )


@pytest.fixture
def rules(tiny_tokenizer: Any) -> WindowRules:
    return window_rules(WindowConfig(24, 4), tiny_tokenizer, longest=64, segment_ids=True)


def rows_of(part: Part) -> list[dict[str, Any]]:
    """The windows of a part as a dataset has them."""
    return [{name: one[row].tolist() for name, one in part.columns.items()} for row in range(part.windows)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["cached", "fresh", "streamed"])
def test_parts_hold_every_window_once_and_part_no_example(
    kind: str, size: int, corpus: Corpus, rules: WindowRules, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spantune.answering.windows._AT_ONCE", 4)
    whole = make_windows(corpus, tiny_tokenizer, rules, cache=kind == "cached")
    windows = StreamedWindows(corpus, tiny_tokenizer, rules) if kind == "streamed" else whole
    parts = list(windows.parts(size))
    assert [row for part in parts for row in rows_of(part)] == list(whole.dataset)
    assert [one for part in parts for one in part.examples] == list(corpus.examples)
    for part in parts:
        owners = part.columns["example"]
        assert set(owners) == set(range(part.first, part.first + len(part.examples)))
    assert all(part.windows >= size for part in parts[:-1])
    if kind != "streamed":  # a streamed part ends where the examples end that were tokenised together
        most = max(np.bincount(whole.numbers("example")))
        assert all(part.windows < size + most for part in parts)


def test_examples_without_a_window_are_in_a_part_too(corpus: Corpus, rules: WindowRules, tiny_tokenizer: Any) -> None:
    whole = make_windows(corpus, tiny_tokenizer, rules, cache=False)
    owners = whole.numbers("example")
    left = whole.dataset.select(np.flatnonzero((owners % 3 == 1) & (owners < 20)))
    for size in SIZES:
        parts = list(Windows(left, corpus, rules).parts(size))
        assert [one for part in parts for one in part.examples] == list(corpus.examples)
        assert [part.first for part in parts] == [int(part.examples[0].id) for part in parts]
        assert sum(part.windows for part in parts) == len(left)


def test_no_file_is_written_for_a_stream(
    corpus: Corpus, rules: WindowRules, tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path)
    assert sum(part.windows for part in StreamedWindows(corpus, tiny_tokenizer, rules).parts(5)) > 23
    assert list(tmp_path.iterdir()) == []


def test_a_stream_makes_no_more_than_it_is_asked_for(
    corpus: Corpus, rules: WindowRules, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spantune.answering.windows._AT_ONCE", 2)
    broken = dataclasses.replace(corpus.examples[-1], context=None)  # type: ignore[arg-type]
    stream = StreamedWindows(Corpus((*corpus.examples[:-1], broken), "broken", ""), tiny_tokenizer, rules)
    first = next(iter(stream.parts(1)))
    assert first.examples == corpus.examples[:2]
