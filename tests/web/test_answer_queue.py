"""The queue before the models: what waits is answered together, what does not fit is refused at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from made_panel import FakePanel, FakeSource

from spantune.data import Example
from spantune.errors import DataError
from spantune.web.answer_queue import Answerer
from spantune.web.problem_details import Problem


def question(number: int) -> Example:
    return Example("same id", "?", f"text {number}")


class Queue:
    """An answerer whose panel waits at a gate, and threads that ask it."""

    def __init__(self, waiting: int = 8, together: int = 5) -> None:
        self.panel = FakePanel(gate=threading.Event())
        self.answerer = Answerer(FakeSource(self.panel), waiting=waiting, together=together)
        self.answerer.start()
        assert self.answerer.wait_until_loaded(20)
        self.pool = ThreadPoolExecutor(16)

    def ask(self, *numbers: int, names: tuple[str, ...] = ("numbers",)) -> Future[list[str]]:
        """The answers of the first of the models; returns when the questions wait."""
        before = len(self.answerer._queue)
        future = self.pool.submit(self._asked, numbers, names)
        self._until(lambda: len(self.answerer._queue) > before or future.done())
        return future

    def busy(self) -> Future[list[str]]:
        """One question that the worker has taken in already and holds."""
        first = self.pool.submit(self._asked, (0,), ("numbers",))
        assert self.panel.entered.wait(20)
        return first

    def _asked(self, numbers: tuple[int, ...], names: tuple[str, ...]) -> list[str]:
        found = self.answerer.ask([question(one) for one in numbers], names)
        return [one.text for one in found[names[0]].predictions]

    def open(self) -> None:
        assert self.panel.gate is not None
        self.panel.gate.set()

    @staticmethod
    def _until(met: object) -> None:
        end = time.monotonic() + 20
        while not met():  # type: ignore[operator]
            assert time.monotonic() < end
            time.sleep(0.001)


@pytest.fixture
def queue() -> Iterator[Queue]:
    one = Queue()
    yield one
    one.open()
    one.answerer.close(20)
    one.pool.shutdown()


def test_what_waits_is_answered_together(queue: Queue) -> None:
    first = queue.busy()
    others = [queue.ask(1), queue.ask(2, 3), queue.ask(4)]
    queue.open()
    assert [one.result(20) for one in (first, *others)] == [["0"], ["1"], ["2", "3"], ["4"]]
    assert [count for count, _ in queue.panel.batches] == [1, 4]


def test_a_batch_has_its_bound_and_later_ones_fill_it(queue: Queue) -> None:
    queue.busy()
    others = [queue.ask(1, 2, 3), queue.ask(4, 5, 6), queue.ask(7, 8)]
    queue.open()
    assert [one.result(20) for one in others] == [["1", "2", "3"], ["4", "5", "6"], ["7", "8"]]
    assert [count for count, _ in queue.panel.batches] == [1, 5, 3], "two that fit go before one that does not"


def test_questions_to_other_models_are_another_batch(queue: Queue) -> None:
    queue.busy()
    others = [queue.ask(1), queue.ask(2, names=("words",)), queue.ask(3)]
    queue.open()
    assert [one.result(20) for one in others] == [["1"], ["text"], ["3"]]
    assert queue.panel.batches[1:] == [(2, ("numbers",)), (1, ("words",))]


def test_a_long_document_goes_alone(queue: Queue) -> None:
    queue.busy()
    first = queue.ask(1)
    document = queue.pool.submit(queue.answerer.ask, [Example("d", "?", "word " * 50_000)], ("numbers",))
    queue._until(lambda: len(queue.answerer._queue) == 2)
    queue.open()
    first.result(20)
    document.result(20)
    assert [count for count, _ in queue.panel.batches] == [1, 1, 1]


def test_a_full_queue_refuses_at_once(queue: Queue) -> None:
    first = queue.busy()
    waiting = [queue.ask(one) for one in range(1, 9)]
    began = time.monotonic()
    with pytest.raises(Problem) as refused:
        queue.answerer.ask([question(9)], ("numbers",))
    assert time.monotonic() - began < 1
    assert refused.value.status == 503 and int(refused.value.headers["Retry-After"]) >= 1
    queue.open()
    assert [one.result(20) for one in (first, *waiting)] == [[str(one)] for one in range(9)]


def test_one_bad_question_spoils_its_own_request_alone(queue: Queue) -> None:
    first = queue.busy()
    queue.panel.fails = lambda one: DataError("the context is empty") if one.context == "text 2" else None
    others = [queue.ask(1), queue.ask(2), queue.ask(3)]
    queue.open()
    assert [one.result(20) for one in (first, others[0], others[2])] == [["0"], ["1"], ["3"]]
    with pytest.raises(DataError, match="the context is empty"):
        others[1].result(20)


def test_nobody_waits_for_a_client_that_has_gone(queue: Queue) -> None:
    first = queue.busy()
    gone = queue.pool.submit(queue.answerer.ask, [question(1)], ("numbers",), gone=lambda: True)
    queue._until(lambda: len(queue.answerer._queue) == 1)
    other = queue.pool.submit(queue.answerer.ask, [question(2)], ("numbers",))
    with pytest.raises(Problem, match="did not wait"):
        gone.result(20)
    queue.open()
    assert first.result(20) == ["0"] and other.result(20)["numbers"].predictions[0].text == "2"
    assert [count for count, _ in queue.panel.batches] == [1, 1]
    with pytest.raises(Problem, match="did not wait"):
        queue.answerer.ask([question(3)], ("numbers",), gone=lambda: True)  # there is nothing else in the queue
    assert len(queue.panel.batches) == 2


def test_clients_that_have_gone_take_up_no_room(queue: Queue) -> None:
    queue.busy()
    left = threading.Event()
    for _ in range(8):
        queue.pool.submit(queue.answerer.ask, [question(1)], ("numbers",), gone=left.is_set)
    queue._until(lambda: len(queue.answerer._queue) == 8)
    left.set()
    last = queue.pool.submit(queue.answerer.ask, [question(2)], ("numbers",))
    queue.open()
    assert last.result(20)["numbers"].predictions[0].text == "2"


def test_closing_answers_what_was_taken_in(queue: Queue) -> None:
    asked = [queue.busy(), queue.ask(1), queue.ask(2)]
    closing = queue.pool.submit(queue.answerer.close, 20)
    queue._until(lambda: queue.answerer.state == "closed")
    with pytest.raises(Problem, match="being stopped"):
        queue.answerer.ask([question(3)], ("numbers",))
    assert not closing.done()
    queue.open()
    assert [one.result(20) for one in asked] == [["0"], ["1"], ["2"]]
    closing.result(20)


def test_each_model_says_how_long_it_computed(queue: Queue) -> None:
    queue.open()
    (found,) = queue.answerer.ask([question(1), question(2)], ["words"]).values()
    assert (found.milliseconds, found.together, found.inside) == (12.5, 2, None)
    (found,) = queue.answerer.ask([question(1)], ["words"], inside=True).values()
    assert found.inside is not None and found.inside.won == 1


def test_models_that_cannot_be_loaded() -> None:
    answerer = Answerer(FakeSource(ValueError("broken")), waiting=1, together=1)
    with pytest.raises(Problem, match="being loaded"):
        answerer.ask([question(1)], ("numbers",))
    answerer.start()
    assert not answerer.wait_until_loaded(20) and answerer.state == "failed"
    with pytest.raises(Problem, match="ValueError: broken"):
        answerer.ask([question(1)], ("numbers",))
    answerer.close(5)
