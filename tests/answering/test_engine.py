"""The pass over a corpus: the same answers however it is cut into parts, and no memory that grows with it."""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import random
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import WORDS, YEARS
from torch import Tensor, nn
from transformers import BertTokenizerFast

from spantune.answering import engine
from spantune.answering.engine import CorpusAnswers, answer_windows
from spantune.answering.window_rules import WindowRules, window_rules
from spantune.answering.windows import StreamedWindows, Windows, make_windows
from spantune.config import DecodeConfig, WindowConfig
from spantune.data import Answer, Corpus, Example
from spantune.data.prediction import Candidate, Prediction
from spantune.errors import RunError
from spantune.modeling.span_model import SpanLogits
from spantune.runs.atomic_files import write_json_atomic
from spantune.scoring.prediction_files import n_best_file
from spantune.scoring.score_run import scores, write_answers

EXACT = ("id", "text", "start", "end", "score", "null_score")
DECODE = DecodeConfig(max_answer_length=4, n_best=5, eval_batch_size=3)


class Lookup(nn.Module):
    """Scores each token by its id alone, so that no batch, padding or order changes a logit."""

    device = torch.device("cpu")

    def __init__(self, *, broken: int | None = None) -> None:
        super().__init__()
        self.table = torch.randn(200, 2, generator=torch.Generator().manual_seed(4))
        if broken is not None:
            self.table[broken] = math.nan

    def forward(self, input_ids: Tensor, **_: Tensor) -> SpanLogits:
        return SpanLogits(*self.table[input_ids].unbind(-1))


class ByPlace(Lookup):
    """Scores a token by its place in the window, too, so that a span is better in one window than in another."""

    def forward(self, input_ids: Tensor, **_: Tensor) -> SpanLogits:
        places = self.table[100 : 100 + input_ids.shape[1]].unbind(-1)
        return SpanLogits(*(one + place for one, place in zip(super().forward(input_ids), places, strict=True)))


@pytest.fixture(scope="module")
def tokenizer(bert: str) -> Any:
    return BertTokenizerFast.from_pretrained(bert)


@pytest.fixture(scope="module")
def rules(tokenizer: Any) -> WindowRules:
    return window_rules(WindowConfig(24, 6), tokenizer, longest=96, segment_ids=True)


def asked(count: int, *, words: int = 40, seed: int = 0) -> Corpus:
    """Questions on contexts of one to a few windows, each third without an answer."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        text = [chance.choice(WORDS[:18]) for _ in range(1 + chance.randrange(words))]
        text[0] = chance.choice(YEARS)
        answers = () if number % 3 == 2 else (Answer(text[0], 0),)
        made.append(Example(f"q{number}", "when ?", " ".join(text), answers))
    return Corpus.of(made, "asked")


@pytest.fixture(scope="module")
def windows(tokenizer: Any, rules: WindowRules) -> Windows:
    return make_windows(asked(31), tokenizer, rules, cache=False)


def passed(
    windows: Windows | StreamedWindows, model: Any = None, **given: Any
) -> tuple[CorpusAnswers, list[Prediction]]:
    kept: list[Prediction] = []
    settings = {"pad_token_id": 0, "decode": DECODE, "dtype": torch.float32, "squad_v2": True, "sink": kept.append}
    return answer_windows(model or Lookup(), windows, **{**settings, **given}), kept


def same(one: list[Prediction], other: list[Prediction]) -> None:
    for mine, yours in zip(one, other, strict=True):
        assert [getattr(mine, name) for name in EXACT] == [getattr(yours, name) for name in EXACT]
        assert mine.null_probability == pytest.approx(yours.null_probability, abs=1e-6)
        for candidate, wanted in zip(mine.n_best, yours.n_best, strict=True):
            assert candidate[:4] == wanted[:4]
            assert candidate.probability == pytest.approx(wanted.probability, abs=1e-6)


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_parts_change_no_answer_file_score_loss_or_count(
    size: int, windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = windows.corpus
    whole, wanted = passed(windows, loss_labels="all")
    monkeypatch.setattr(engine, "AT_ONCE", size)
    told: list[int] = []
    answers, found = passed(windows, loss_labels="all", on_batch=told.append)
    same(found, wanted)
    assert [one.id for one in found] == [one.id for one in corpus.examples] == list(answers.texts)
    assert (answers.texts, answers.spans, answers.null_odds) == (whole.texts, whole.spans, whole.null_odds)
    assert scores(corpus, answers, squad_v2=True) == scores(corpus, whole, squad_v2=True)
    assert answers.loss == pytest.approx(whole.loss) and whole.loss is not None
    assert (sum(told), answers.windows, answers.broken_windows) == (len(windows), len(windows), 0)
    for name, one in (("parts", answers), ("whole", whole)):
        (tmp_path / name).mkdir()
        write_answers(tmp_path / name, one, squad_v2=True)
    for name in ("predictions.json", "null_odds.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@given(seed=st.integers(0, 10**6), listed=st.integers(1, 5))
@settings(deadline=None)
def test_how_many_are_listed_changes_no_probability(seed: int, listed: int, tokenizer: Any, rules: WindowRules) -> None:
    """Not even of a span that is among the best of one window and not of the next."""
    found = make_windows(asked(6, seed=seed), tokenizer, rules, cache=False)
    _, few = passed(found, ByPlace(), decode=dataclasses.replace(DECODE, n_best=listed))
    _, many = passed(found, ByPlace(), decode=dataclasses.replace(DECODE, n_best=DecodeConfig.n_best))
    for one, other in zip(few, many, strict=True):
        assert len(one.n_best) == min(listed, len(other.n_best)) and one.n_best == other.n_best[:listed]
        assert one.probability == other.probability


@given(seed=st.integers(0, 10**6), count=st.integers(1, 25), size=st.integers(1, 40), batch=st.integers(1, 9))
@settings(deadline=None)
def test_any_cut_and_any_batch_answer_alike(
    seed: int, count: int, size: int, batch: int, tokenizer: Any, rules: WindowRules
) -> None:
    corpus = asked(count, seed=seed)
    _, wanted = passed(make_windows(corpus, tokenizer, rules, cache=False))
    decode = dataclasses.replace(DECODE, eval_batch_size=batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "AT_ONCE", size)
        _, found = passed(StreamedWindows(corpus, tokenizer, rules), decode=decode)
    same(found, wanted)


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_broken_windows_and_examples_without_a_window(
    size: int, windows: Windows, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "AT_ONCE", size)
    mill = tokenizer.convert_tokens_to_ids("mill")
    ids, owners = windows.dataset["input_ids"][:], windows.numbers("example")
    broken = np.array([mill in row for row in ids])
    answers, found = passed(windows, Lookup(broken=mill))
    assert 0 < broken.sum() < len(broken) and answers.broken_windows == broken.sum()
    left = dataclasses.replace(windows, dataset=windows.dataset.select(np.flatnonzero(~broken)))
    same(found, passed(left)[1])
    unseen = set(range(len(found))) - set(owners[~broken])
    assert unseen and {row for row, one in enumerate(found) if not one.n_best} == unseen
    assert all(found[row].text == "" and found[row].score == 0 for row in unseen)


class Watched(Lookup):
    """Remembers in which threads it ran, on how many cores each; fails at the batch that it is told."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []
        self.fails_at = fails_at

    def forward(self, input_ids: Tensor, **_: Tensor) -> SpanLogits:
        self.seen.append((threading.current_thread().name.rpartition("_")[0], torch.get_num_threads()))
        if len(self.seen) == self.fails_at:
            raise MemoryError
        return super().forward(input_ids)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("sides", "share"), [(2, 2), (3, 1), (8, 1)])
def test_batches_side_by_side_change_nothing(
    sides: int, share: int, windows: Windows, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_alone, told, model = list[int](), list[int](), Watched()
    monkeypatch.setattr(engine, "_SIDES", 1)
    alone, wanted = passed(windows, loss_labels="all", on_batch=told_alone.append)
    monkeypatch.setattr(engine, "_SIDES", sides)
    answers, found = passed(windows, model, loss_labels="all", on_batch=told.append)
    same(found, wanted)
    assert (answers.texts, answers.null_odds, answers.loss) == (alone.texts, alone.null_odds, alone.loss)
    assert set(model.seen) == {("spantune-batch", share)}
    assert told == told_alone and sum(told) == len(windows)
    assert torch.get_num_threads() == 4


def test_what_fits_into_one_batch_is_shared_out(windows: Windows, threads: None) -> None:
    model = Watched()
    passed(windows, model, decode=dataclasses.replace(DECODE, eval_batch_size=1000))
    assert model.seen == [("spantune-batch", 1)] * 4


def test_a_single_window_has_all_cores(tokenizer: Any, rules: WindowRules, threads: None) -> None:
    model = Watched()
    passed(make_windows(asked(1, words=8), tokenizer, rules, cache=False), model)
    assert model.seen == [("", 4)]


def test_a_batch_that_fails_ends_the_pass_and_gives_the_cores_back(windows: Windows, threads: None) -> None:
    with pytest.raises(MemoryError):
        passed(windows, Watched(fails_at=2))
    assert torch.get_num_threads() == 4


def test_without_no_answer_the_best_span_is_the_answer(windows: Windows) -> None:
    answers, _ = passed(windows, squad_v2=False)
    assert answers.spans == answers.texts and all(answers.texts.values())
    withheld, _ = passed(windows, null_threshold=-100.0)
    assert withheld.spans == answers.texts and set(withheld.texts.values()) == {""}


def test_only_one_part_is_in_memory(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "AT_ONCE", 4)
    alive: list[int] = []

    def living() -> int:
        return sum(type(one) in (Prediction, engine.AnswerCollector) for one in gc.get_objects())

    def count(one: Prediction) -> None:
        if int(one.id[1:]) % 6 == 5:
            alive.append(living())

    gc.collect()
    before = living()
    passed(windows, sink=count)
    assert len(alive) == 31 // 6
    assert max(alive) - before <= 2 + 2, "this collector and that of the part before, this prediction and the last"


def test_what_stays_of_a_question_is_small(tokenizer: Any, rules: WindowRules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "AT_ONCE", 32)
    peaks = []
    for count in (200, 1000):
        corpus = asked(count, words=8)
        stream = StreamedWindows(corpus, tokenizer, rules)
        tracemalloc.start()
        answer_windows(Lookup(), stream, pad_token_id=0, decode=DecodeConfig(), dtype=torch.float32)  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 800 < 600, "bytes a question; a prediction with its candidates has thousands"


def test_the_mode_is_left_and_nothing_is_written_where_a_pass_fails(windows: Windows, tmp_path: Path) -> None:
    model = Lookup().train()
    path = tmp_path / "n_best.json"
    path.write_text("old")

    def refuse(_: int) -> None:
        raise FileNotFoundError(2, "gone", "another file")

    with pytest.raises(FileNotFoundError, match="another file"), n_best_file(path) as sink:
        passed(windows, model, sink=sink, on_batch=refuse)
    assert model.training and path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_candidates_are_written_as_json_has_them(count: int, tmp_path: Path) -> None:
    candidates = (
        Candidate('“東京”\n"x"\\', 0, 7, 1e-9, 0.1),
        Candidate("\u2028{}[],: ", 1, 2, -3.0, 1 / 3),
        Candidate("a", 1, 2, 1e22, 1.0),
    )
    made = [
        Prediction(f'q"{row}é', "a", 0, 1, 0.0, 0.0, 0.0, 0.0, candidates[: 3 * (row % 2)] or candidates[3:])
        for row in range(count)
    ]
    with n_best_file(tmp_path / "streamed.json") as sink:
        for one in made:
            sink(one)
    whole = {one.id: [each._asdict() for each in one.n_best] for one in made}
    write_json_atomic(tmp_path / "whole.json", whole)
    assert json.loads((tmp_path / "streamed.json").read_text(encoding="utf-8")) == whole
    assert (tmp_path / "streamed.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_folder_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"), n_best_file(tmp_path / "missing" / "n_best.json"):
        raise AssertionError("nothing to write to")
