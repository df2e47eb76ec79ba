"""The queue before the models: one worker answers the questions of several requests together.

A panel answers one request at a time and is fastest with many questions. Threads leave theirs in a bounded queue, and
the worker hands all that wait for the same models to one call of the panel. A request that meets a full queue is
refused at once; one whose client has disconnected is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from spantune.errors import SpantuneError
from spantune.web.limits import MOST_N_BEST
from spantune.web.models import PanelSource
from spantune.web.problem_details import Problem, busy

if TYPE_CHECKING:
    from spantune.answering.model_panel import Panel
    from spantune.answering.token_probabilities import Inside
    from spantune.data import Example
    from spantune.data.prediction import Prediction

_GATHER_SECONDS = 0.003
"""How long the worker waits for more requests after the first."""
_CHARACTERS = 200_000
"""Most characters in the contexts of a batch of several requests: a long document is answered alone."""
State = Literal["loading", "ready", "failed", "closed"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestAnswers:
    """One model's answers to a request.

    Attributes:
        predictions: one a question. milliseconds: of computing all questions of the batch.
        together: questions in the batch, including those of other requests.
        inside: where the model sees the answer to the first question, if that was asked for.
    """

    predictions: tuple[Prediction, ...]
    milliseconds: float
    together: int
    inside: Inside | None = None


@dataclass(eq=False)
class _Request:
    examples: Sequence[Example]
    names: tuple[str, ...]
    inside: bool
    gone: Callable[[], bool]
    answers: Future[Mapping[str, RequestAnswers]] = field(default_factory=Future)

    @property
    def characters(self) -> int:
        return sum(len(example.context) for example in self.examples)


class Answerer:
    """Loads the models in the background, then answers. Any number of threads may ask.

    Args:
        source: of the models. waiting: requests that may wait. together: most questions of a batch of several requests.
    """

    def __init__(self, source: PanelSource, *, waiting: int, together: int) -> None:
        self._source, self._waiting, self._together = source, waiting, together
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="spantune-answers", daemon=True)
        self._panel: Panel | None = None
        self._seconds = 1.0  # of a batch, roughly: how long clients wait before they try again
        self.state: State = "loading"
        self.failure = ""

    @property
    def ready(self) -> bool:
        """Whether questions are answered."""
        return self.state == "ready"

    @property
    def notice(self) -> str:
        """Why no questions are answered, for a page; "" if they are."""
        if self.state == "failed":
            return f"The models could not be loaded: {self.failure}"
        return "" if self.ready else "The models are being loaded; questions are answered in a few seconds."

    @property
    def broken(self) -> Mapping[str, str]:
        """Why some models cannot answer, by name."""
        return self._source.broken

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._worker.start()

    def wait_until_loaded(self, timeout: float | None = None) -> bool:
        """Whether the models are loaded, after so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self.state != "loading", timeout)
        return self.ready

    def close(self, timeout: float | None = None) -> None:
        """Answer what is in the queue, refuse everything else, and end."""
        with self._changed:
            if self.state != "failed":
                self.state = "closed"
            self._changed.notify_all()
        if self._worker.is_alive():
            self._worker.join(timeout)

    def ask(
        self,
        examples: Sequence[Example],
        names: Sequence[str],
        *,
        inside: bool = False,
        gone: Callable[[], bool] = lambda: False,
    ) -> Mapping[str, RequestAnswers]:
        """Each model's answers to some questions; waits for them.

        Args:
            names: of the models. inside: also look inside, at the first question.
            gone: whether nobody waits for the answers any more; called until the models begin.

        Raises:
            Problem: 500 or 503 while there are no models, 503 if the queue is full or the client has gone.
            DataError: a question or a context is empty.
        """
        request = _Request(examples, tuple(names), inside, gone)
        with self._changed:
            if not self.ready:
                raise self._refusal()
            self._drop_gone()
            if len(self._queue) >= self._waiting:
                raise busy(f"{self._waiting} requests wait already.", max(1, round(self._seconds)))
            self._queue.append(request)
            self._changed.notify_all()
        return request.answers.result()

    def _refusal(self) -> Problem:
        if self.state == "failed":
            return Problem(500, "No models", self.notice)
        loading = self.state == "loading"
        return busy("The models are being loaded.", 2) if loading else busy("The server is being stopped.", 10)

    def _work(self) -> None:
        try:
            self._panel = self._source.load()
        except SpantuneError as error:
            self.failure = str(error)
        except Exception as error:
            _log.error("the models could not be loaded", exc_info=error)
            self.failure = f"{type(error).__name__}: {error}"
        with self._changed:
            if self.state == "loading":
                self.state = "failed" if self._panel is None else "ready"
            self._changed.notify_all()
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[_Request]:
        """The oldest request and those that go with it; [] when the server ends."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._queue or self.state != "ready")
                if not self._queue:
                    return []
                end = time.monotonic() + _GATHER_SECONDS
                while len(self._queue) < self._together and (left := end - time.monotonic()) > 0:
                    self._changed.wait(left)
                self._drop_gone()
                if self._queue:
                    return self._batch()

    def _drop_gone(self) -> None:
        """Drop the requests whose clients have disconnected; the lock is held."""
        gone = [request for request in self._queue if request.gone()]
        for request in gone:
            self._queue.remove(request)
            request.answers.set_exception(busy("The client did not wait for its answer."))
        if gone:
            _log.info("not answered, since the client has gone: %d", len(gone))

    def _batch(self) -> list[_Request]:
        """The oldest request and those that go with it, taken out of the queue; the lock is held."""
        first = self._queue.popleft()
        batch, others = [first], deque[_Request]()
        questions, characters = len(first.examples), first.characters
        for request in self._queue:
            more, longer = questions + len(request.examples), characters + request.characters
            if more <= self._together and longer <= _CHARACTERS and request.names == first.names:
                batch.append(request)
                questions, characters = more, longer
            else:
                others.append(request)
        self._queue = others
        return batch

    def _answer(self, batch: Sequence[_Request]) -> None:
        began = time.perf_counter()
        try:
            answers = self._answers(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].answers.set_exception(error)
            else:
                for request in batch:  # a fault of one of them does not reach the others
                    self._answer([request])
        else:
            for request, of_request in zip(batch, answers, strict=True):
                request.answers.set_result(of_request)
        self._seconds = 0.8 * self._seconds + 0.2 * (time.perf_counter() - began)

    def _answers(self, batch: Sequence[_Request]) -> list[Mapping[str, RequestAnswers]]:
        assert self._panel is not None
        names = batch[0].names
        # A corpus needs unique ids, and requests choose theirs by themselves.
        examples = [example for request in batch for example in request.examples]
        numbered = [replace(example, id=str(at)) for at, example in enumerate(examples)]
        answered = self._panel.answer(numbered, n_best=MOST_N_BEST, names=names)
        left = {name: iter(answered[name].predictions) for name in names}
        answers: list[Mapping[str, RequestAnswers]] = []
        for request in batch:
            inside = self._panel.inside(request.examples[0], names=names) if request.inside else {}
            answers.append(
                {
                    name: RequestAnswers(
                        tuple(islice(left[name], len(request.examples))),
                        1000 * answered[name].seconds,
                        len(examples),
                        inside.get(name),
                    )
                    for name in names
                }
            )
        return answers
