"""The queue before the models: one worker answers the questions of several requests together.

A panel answers one request at a time and is fastest when it is given many questions: threads that each asked for
themselves would only wait for each other. Here they leave their questions in a bounded queue; the worker takes what
waits for the same models, as one call of the panel. A request that finds the queue full is refused at once; one whose
client has gone is dropped, so that nobody waits for it.
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
from spantune.web.models import ModelPanel, PanelSource
from spantune.web.problem_details import Problem, busy

if TYPE_CHECKING:
    from spantune.answering.token_probabilities import Inside
    from spantune.data import Example
    from spantune.data.prediction import Prediction

_GATHER_SECONDS = 0.003
"""How long the worker waits for more after the first request: what arrives together is answered together."""
_CHARACTERS = 200_000
"""Most characters of the contexts of a batch that holds several requests: a long document is answered alone."""
State = Literal["loading", "ready", "failed", "closed"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestAnswers:
    """One model's answers to a request.

    Attributes:
        predictions: one a question. milliseconds: that the model computed, for all questions of the batch.
        together: questions in the batch, those of other requests among them.
        inside: where it sees the answer to the first question, if that was asked for.
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
        self._panel: ModelPanel | None = None
        self._seconds = 1.0  # that a batch takes, about: a full queue asks to come back after these
        self.state: State = "loading"
        self.failure = ""

    @property
    def ready(self) -> bool:
        """Whether questions are answered."""
        return self.state == "ready"

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
            if self.state in ("loading", "ready"):
                self.state = "closed"
            self._changed.notify_all()
        if self._worker.is_alive():
            self._worker.join(timeout)

    def ask(
        self,
        examples: Sequence[Example],
        names: Sequence[str] | None = None,
        *,
        inside: bool = False,
        gone: Callable[[], bool] = lambda: False,
    ) -> Mapping[str, RequestAnswers]:
        """Each model's answers to some questions; waits for them.

        Args:
            names: of the models; default: all. inside: also look inside, at the first question.
            gone: whether nobody waits for the answers any more; called until the models begin.

        Raises:
            Problem: 503 while the models are loaded, where they could not be, where the queue is full, and where the
                client has gone.
            DataError: a question or a context is empty.
        """
        wanted = tuple(model.name for model in self._source.models) if names is None else tuple(names)
        request = _Request(examples, wanted, inside, gone)
        with self._changed:
            self._refuse_unless_ready()
            self._drop_gone()
            if len(self._queue) >= self._waiting:
                raise busy(f"{self._waiting} requests wait already.", max(1, round(self._seconds)))
            self._queue.append(request)
            self._changed.notify_all()
        return request.answers.result()

    def _refuse_unless_ready(self) -> None:
        if self.state == "loading":
            raise busy("The models are being loaded.", 2)
        if self.state == "failed":
            raise Problem(500, "No models", f"The models could not be loaded: {self.failure}")
        if self.state == "closed":
            raise busy("The server is being stopped.", 10)

    def _work(self) -> None:
        panel, failure = None, ""
        try:
            panel = self._source.load()
        except SpantuneError as error:
            failure = str(error)
        except Exception as error:
            _log.error("the models could not be loaded", exc_info=error)
            failure = f"{type(error).__name__}: {error}"
        with self._changed:
            self._panel, self.failure = panel, failure
            if self.state == "loading":
                self.state = "failed" if panel is None else "ready"
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
        """Drop the requests for which nobody waits; the lock is held."""
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
                for request in batch:  # one of them is at fault: the others are answered
                    self._answer([request])
        else:
            for request, of_request in zip(batch, answers, strict=True):
                request.answers.set_result(of_request)
        self._seconds = 0.8 * self._seconds + 0.2 * (time.perf_counter() - began)

    def _answers(self, batch: Sequence[_Request]) -> list[Mapping[str, RequestAnswers]]:
        assert self._panel is not None
        names = batch[0].names
        # Ids count through the batch, since a corpus has each once.
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
