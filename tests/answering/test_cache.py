"""Windows are tokenised once for each data, tokenizer and lengths; what is read back is what would be made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import DAMAGE

from spantune.answering.window_rules import WindowRules, window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import WindowConfig
from spantune.data import Corpus


def cached(corpus: Corpus, tokenizer: Any, rules: WindowRules) -> Windows:
    return make_windows(corpus, tokenizer, rules)


@pytest.fixture
def rules(tiny_tokenizer: Any) -> WindowRules:
    return window_rules(WindowConfig(24, 4), tiny_tokenizer, longest=64, segment_ids=True)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from datasets import config

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path


def test_the_tests_do_not_touch_the_users_cache() -> None:
    from datasets import config

    assert "spantune-tests-" in str(config.HF_DATASETS_CACHE)


def test_cached_windows_are_the_fresh_ones(
    tiny_corpus: Corpus, tiny_tokenizer: Any, rules: WindowRules, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = make_windows(tiny_corpus, tiny_tokenizer, rules, cache=False)
    assert not list(own_cache.iterdir())
    first = make_windows(tiny_corpus, tiny_tokenizer, rules)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr("spantune.answering.windows.cut_windows", refuse)
    with pytest.raises(AssertionError, match="tokenised again"):
        make_windows(tiny_corpus, tiny_tokenizer, rules, cache=False)
    second = make_windows(tiny_corpus, tiny_tokenizer, rules)
    assert list(first.dataset) == list(second.dataset) == list(fresh.dataset)
    assert second.counts() == fresh.counts() and second.lengths.tolist() == fresh.lengths.tolist()


def test_another_corpus_tokenizer_or_length_is_another_cache(
    tiny_corpus: Corpus, tiny_tokenizer: Any, rules: WindowRules, own_cache: Path, byte_level_tokenizer: Any
) -> None:
    last = tiny_corpus.examples[-1]
    other = Corpus.of([*tiny_corpus.examples[:-1], dataclasses.replace(last, question="Who?")], "tiny")
    changes: list[Callable[[], Windows]] = [
        lambda: cached(tiny_corpus, tiny_tokenizer, rules),
        lambda: cached(other, tiny_tokenizer, rules),
        lambda: cached(tiny_corpus, byte_level_tokenizer, rules),
        lambda: cached(tiny_corpus, tiny_tokenizer, dataclasses.replace(rules, max_length=25)),
        lambda: cached(tiny_corpus, tiny_tokenizer, dataclasses.replace(rules, doc_stride=5)),
        lambda: cached(tiny_corpus, tiny_tokenizer, dataclasses.replace(rules, max_question=8)),
        lambda: cached(tiny_corpus, tiny_tokenizer, dataclasses.replace(rules, segment_ids=False)),
    ]
    for number, change in enumerate(changes, start=1):
        change()
        assert len(list((own_cache / "spantune").glob("*.arrow"))) == number
    # A tokenizer that was used with truncation and padding before is still the same one.
    tiny_tokenizer("a b", truncation=True, max_length=3, padding="max_length")
    cached(tiny_corpus, tiny_tokenizer, rules)
    assert len(list((own_cache / "spantune").glob("*.arrow"))) == len(changes)


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_cache_is_said_and_made_again(
    how: str, tiny_corpus: Corpus, tiny_tokenizer: Any, rules: WindowRules, own_cache: Path
) -> None:
    fresh = list(make_windows(tiny_corpus, tiny_tokenizer, rules, cache=False).dataset)
    cached(tiny_corpus, tiny_tokenizer, rules)
    (path,) = (own_cache / "spantune").iterdir()
    before = path.read_bytes()
    DAMAGE[how](path)
    with pytest.warns(UserWarning, match="a file of the cache is damaged and is made again") as said:
        assert list(cached(tiny_corpus, tiny_tokenizer, rules).dataset) == fresh
    assert len(said) == 1 and str(path) in str(said[0].message)
    assert [one.read_bytes() for one in (own_cache / "spantune").iterdir()] == [before]


def test_a_cache_that_is_gone_while_it_is_read_costs_nothing(
    tiny_corpus: Corpus, tiny_tokenizer: Any, rules: WindowRules, own_cache: Path
) -> None:
    windows = cached(tiny_corpus, tiny_tokenizer, rules)
    whole = [part.windows for part in windows.parts(2)]
    (path,) = (own_cache / "spantune").iterdir()
    path.unlink()
    assert [part.windows for part in windows.parts(2)] == whole


@pytest.mark.parametrize("why", ["a file in its place", "full"])
def test_a_cache_that_cannot_be_written_is_said_and_done_without(
    why: str,
    tiny_corpus: Corpus,
    tiny_tokenizer: Any,
    rules: WindowRules,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh = list(make_windows(tiny_corpus, tiny_tokenizer, rules, cache=False).dataset)
    if why == "full":

        def full(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("spantune.answering.windows._mapped", full)
    else:
        (own_cache / "spantune").write_text("")
    with pytest.warns(UserWarning, match="windows cannot be kept for the next run"):
        assert list(cached(tiny_corpus, tiny_tokenizer, rules).dataset) == fresh
    assert not list(own_cache.glob("spantune/*"))
