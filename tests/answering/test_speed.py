"""How fast a model answers: what is asked, how noise is kept out, what merging does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from spantune.answering import speed
from spantune.data import Corpus, Example
from spantune.errors import MethodError


class Model:
    """Of a method that can be merged, or not."""

    device = SimpleNamespace(type="cpu")

    def __init__(self, mergeable: bool) -> None:
        self.method, self.merged = SimpleNamespace(mergeable=mergeable), False

    def merge(self) -> None:
        if not self.method.mergeable:
            raise MethodError("it cannot be merged")
        self.merged = True


class Predictor:
    """Takes 10 ms for a question, 5 merged, and more when `delays` says so; time is what `clock` shows."""

    def __init__(self, mergeable: bool = True, delays: Sequence[float] = ()) -> None:
        self.model, self.clock, self.asked = Model(mergeable), 0.0, list[list[str]]()
        self.delays: Iterator[float] = iter(delays)

    def predict(self, examples: Sequence[Example]) -> None:
        each = 0.005 if self.model.merged else 0.010
        self.clock += each * len(examples) * (0.5 if len(examples) > 1 else 1) + next(self.delays, 0.0)
        self.asked.append([one.id for one in examples])


def corpus(count: int) -> Corpus:
    return Corpus.of([Example(str(row), "Who?", f"Ada {row}.") for row in range(count)], "made up")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Any:
    def measure(predictor: Predictor, count: int = 100, seconds: float = 10.0) -> Any:
        monkeypatch.setattr(speed.time, "perf_counter", lambda: predictor.clock)
        return speed.answering(predictor, corpus(count), seconds)  # type: ignore[arg-type]

    return measure


def test_both_forms_of_a_mergeable_method_and_one_of_another(measured: Any) -> None:
    found = measured(Predictor())
    assert list(found) == ["unmerged", "merged"]
    assert found["unmerged"].latency_p50_ms == pytest.approx(10) and found["merged"].latency_p50_ms == pytest.approx(5)
    assert found["unmerged"].questions_per_second == pytest.approx(200)
    assert (found["merged"].questions, found["merged"].rounds) == (20, 9)
    assert list(measured(Predictor(mergeable=False))) == ["unmerged"]


def test_busy_moments_change_nothing(measured: Any) -> None:
    """The warm-up, the second time of every question and the first and third pass of the batch take a second more."""
    delays = [1.0, *[0.0] * 20, *[1.0] * 20, *[0.0] * 140, 1.0, 0.0, 1.0]
    disturbed = measured(Predictor(delays=delays), seconds=1000.0)["unmerged"]
    assert disturbed.latency_p50_ms == disturbed.latency_p95_ms == pytest.approx(10)
    assert disturbed.questions_per_second == pytest.approx(200)


def test_a_slow_question_shows_in_the_tail(measured: Any) -> None:
    """One of ten questions takes 30 ms more every time: that is the model, not the machine."""
    found = measured(Predictor(delays=[0.0, *[0.03, *[0.0] * 9] * 9]), count=10)["unmerged"]
    assert found.latency_p50_ms == pytest.approx(10) and found.latency_p95_ms > 20


def test_the_time_is_bounded_and_shared_by_the_forms(measured: Any) -> None:
    predictor = Predictor(mergeable=False)
    found = measured(predictor, seconds=1.0)["unmerged"]
    assert (found.questions, found.rounds) == (20, 3) and predictor.clock == pytest.approx(1.0, abs=0.15)
    assert measured(Predictor(), seconds=1.0)["unmerged"].rounds == 2


def test_a_slow_model_answers_a_few_questions_and_one_batch(measured: Any) -> None:
    predictor = Predictor(mergeable=False, delays=[9.0] * 100)
    found = measured(predictor, seconds=1.0)["unmerged"]
    assert (found.questions, found.rounds) == (5, 1) and len(predictor.asked) == 1 + 5 + 1
    assert found.questions_per_second == pytest.approx(12 / 9.06)


def test_the_same_questions_in_the_same_order_of_every_model(measured: Any) -> None:
    one, other = Predictor(), Predictor(mergeable=False)
    measured(one), measured(other, seconds=0.001)
    alone = [[names[0] for names in model.asked if len(names) == 1] for model in (one, other)]
    assert alone[0][:6] == alone[1] and len(set(alone[0])) == 20


def test_few_questions(measured: Any) -> None:
    assert measured(Predictor(), count=1)["unmerged"].questions == 1
