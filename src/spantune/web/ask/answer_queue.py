"""The queue before the models: one worker, which answers together what waits.

A panel answers one request at a time and is fastest when it is given many questions, so that threads which ask each for
themselves would only wait for each other. Here they leave their questions in a bounded queue; the worker takes what
waits for the same models, as one call of the panel. A request that finds the queue full is told so at once; one whose
client has gone is dropped, so that nobody waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from spantune.errors import SpantuneError
from spantune.web.limits import MOST_N_BEST
from spantune.web.problem_details import Problem, busy
from spantune.web.served_models import Answering, PanelSource

if TYPE_CHECKING:
    from spantune.answering.span_collector import Prediction
    from spantune.answering.token_probabilities import Inside
    from spantune.data import Example

_GATHER_SECONDS = 0.003
"""So long the worker waits for company behind the first request: what arrives together is answered together."""
_CHARACTERS = 200_000
"""Most characters of the contexts of a batch that holds several requests: a long document goes alone."""
State = Literal["loading", "ready", "failed", "closed"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
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


def _stays() -> bool:
    return False


@dataclass(eq=False)
class _Request:
    examples: Sequence[Example]
    names: tuple[str, ...]
    inside: bool
    gone: Callable[[], bool]
    done: threading.Event = field(default_factory=threading.Event)
    answers: Mapping[str, Answered] | None = None
    error: BaseException | None = None

    @property
    def characters(self) -> int:
        return sum(len(one.context) for one in self.examples)


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
        self._panel: Answering | None = None
        self._seconds = 1.0  # that a batch takes, about: what a full queue tells to wait
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
        """Whether the models are there, after so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self.state != "loading", timeout)
        return self.ready

    def close(self, timeout: float | None = None) -> None:
        """Answer what was taken in, refuse everything else, and end."""
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
        gone: Callable[[], bool] = _stays,
    ) -> Mapping[str, Answered]:
        """Each model's answers to some questions; waits for them.

        Args:
            names: of the models; default: all. inside: also look inside, at the first question.
            gone: whether nobody waits for the answers any more; asked until the models begin.

        Raises:
            Problem: 503 while the models are loaded, where they could not be, where the queue is full, and where the
                client has gone.
            DataError: a question or a context is empty.
        """
        wanted = tuple(names) if names is not None else tuple(one.name for one in self._source.models)
        request = _Request(tuple(replace(one, id=str(at)) for at, one in enumerate(examples)), wanted, inside, gone)
        with self._changed:
            self._refuse_unless_ready()
            self._drop_gone()
            if len(self._queue) >= self._waiting:
                raise busy(f"{self._waiting} requests wait already.", max(1, round(self._seconds)))
            self._queue.append(request)
            self._changed.notify_all()
        request.done.wait()
        if request.error is not None:
            raise request.error
        assert request.answers is not None
        return request.answers

    def _refuse_unless_ready(self) -> None:
        if self.state == "loading":
            raise busy("The models are being loaded.", 2)
        if self.state == "failed":
            raise Problem(500, "No models", f"The models could not be loaded: {self.failure}")
        if self.state == "closed":
            raise busy("The server is being stopped.", 10)

    def _work(self) -> None:
        try:
            panel = self._source.load()
            error = None
        except SpantuneError as found:
            panel, error = None, str(found)
        except Exception as found:
            _log.error("the models could not be loaded", exc_info=found)
            panel, error = None, f"{type(found).__name__}: {found}"
        with self._changed:
            self._panel, self.failure = panel, error or ""
            if self.state == "loading":
                self.state = "failed" if error else "ready"
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
        """Let go of the requests for which nobody waits; the lock is held."""
        gone = [one for one in self._queue if one.gone()]
        for one in gone:
            self._queue.remove(one)
            one.error = busy("The client did not wait for its answer.")
            one.done.set()
        if gone:
            _log.info("not answered, since the client has gone: %d", len(gone))

    def _batch(self) -> list[_Request]:
        """The oldest request and those that go with it, taken out of the queue; the lock is held."""
        first = self._queue.popleft()
        batch, others = [first], list[_Request]()
        questions, characters = len(first.examples), first.characters
        for one in self._queue:
            fits = questions + len(one.examples) <= self._together and characters + one.characters <= _CHARACTERS
            if fits and one.names == first.names:
                batch.append(one)
                questions, characters = questions + len(one.examples), characters + one.characters
            else:
                others.append(one)
        self._queue = deque(others)
        return batch

    def _answer(self, batch: Sequence[_Request]) -> None:
        began = time.perf_counter()
        try:
            self._fill(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                for one in batch:  # one of them is at fault: the others are answered
                    self._answer([one])
        finally:
            for one in batch:
                one.done.set()
        self._seconds = 0.8 * self._seconds + 0.2 * (time.perf_counter() - began)

    def _fill(self, batch: Sequence[_Request]) -> None:
        assert self._panel is not None
        names = batch[0].names
        # Ids count through the batch, since a corpus has each once.
        examples = [one for request in batch for one in request.examples]
        found = self._panel.answer(
            [replace(one, id=str(at)) for at, one in enumerate(examples)], n_best=MOST_N_BEST, names=names
        )
        at = 0
        for request in batch:
            seen: Mapping[str, Any] = (
                self._panel.inside(request.examples[0], names=names) if request.inside else dict.fromkeys(names)
            )
            part = slice(at, at + len(request.examples))
            request.answers = {
                name: Answered(
                    tuple(found[name].predictions[part]), 1000 * found[name].seconds, len(examples), seen[name]
                )
                for name in names
            }
            at = part.stop
