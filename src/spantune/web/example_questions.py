"""Questions to try: from what the served runs were scored on, else from the sample that ships with spantune."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spantune.errors import SpantuneError
from spantune.web.models import Model

if TYPE_CHECKING:
    from spantune.data import Example

_KEPT = 400
_log = logging.getLogger(__name__)


class ExampleQuestions:
    """Some questions with their accepted answers, read in the background.

    Args:
        models: whose records name the reported set. longest: contexts with more characters are left out.
    """

    def __init__(self, models: Sequence[Model], longest: int) -> None:
        self._models, self._longest = models, longest
        self._examples: tuple[Example, ...] = ()
        self._chance = random.Random(0)
        self._reader = threading.Thread(target=self._read, name="spantune-examples", daemon=True)

    def start(self) -> None:
        """Begin to read; returns at once."""
        self._reader.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until they are read."""
        self._reader.join(timeout)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: int) -> Example:
        return self._examples[number]

    def some(self, count: int) -> list[tuple[int, Example]]:
        """The first questions with their numbers, no two on the same context."""
        by_context: dict[str, tuple[int, Example]] = {}
        for number, example in enumerate(self._examples):
            by_context.setdefault(example.context, (number, example))
        return list(by_context.values())[:count]

    def random_number(self) -> int | None:
        """The number of any of them; None if there is none."""
        return self._chance.randrange(len(self)) if self._examples else None

    def _read(self) -> None:
        try:
            examples = _reported(self._models)
        except Exception as error:
            # No mistake: an adapter of the zoo comes without its data.
            level = logging.INFO if isinstance(error, SpantuneError) else logging.WARNING
            _log.log(level, "the examples are from the sample: %s", error)
            examples = _sample()
        fitting = [example for example in examples if len(example.context) <= self._longest] or list(_sample())
        random.Random(0).shuffle(fitting)
        self._examples = tuple(sorted(fitting[:_KEPT], key=lambda example: len(example.context) > 900))


def _reported(models: Sequence[Model]) -> Sequence[Example]:
    """What the models were scored on: the set of the first record that names one."""
    from spantune.reports.judged_answers import reported_set

    for model in models:
        record = model.record
        if record is not None and record.scored_on == "reported" and (corpus := reported_set(record, model.folder)):
            return corpus.examples
    raise SpantuneError("no run says what it was scored on")


def _sample() -> Sequence[Example]:
    from spantune.data import load_corpus

    return load_corpus("sample", split="validation").examples
