"""Questions to try: from what the served runs were scored on, else from the sample that ships with spantune."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spantune.errors import SpantuneError
from spantune.web.served_models import Model

if TYPE_CHECKING:
    from spantune.data import Example

_KEPT = 400
_log = logging.getLogger(__name__)


class ExampleQuestions:
    """Some questions with their accepted answers, read in the background.

    Args:
        models: whose records name the reported set. longest: contexts above so many characters are left out.
    """

    def __init__(self, models: Sequence[Model], longest: int) -> None:
        self._models, self._longest = models, longest
        self._found: tuple[Example, ...] = ()
        self._chance = random.Random(0)
        self._reader = threading.Thread(target=self._read, name="spantune-examples", daemon=True)

    def start(self) -> None:
        """Begin to read; returns at once."""
        self._reader.start()

    def wait(self, timeout: float | None = None) -> None:
        """Until they were read."""
        self._reader.join(timeout)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, number: int) -> Example:
        return self._found[number]

    def some(self, count: int) -> list[tuple[int, Example]]:
        """The first ones with their numbers, no two on one context."""
        kept: dict[str, tuple[int, Example]] = {}
        for number, one in enumerate(self._found):
            kept.setdefault(one.context, (number, one))
            if len(kept) == count:
                break
        return list(kept.values())

    def random_number(self) -> int | None:
        """Of any of them; None where there is none."""
        return self._chance.randrange(len(self._found)) if self._found else None

    def _read(self) -> None:
        try:
            examples = _reported(self._models)
        except Exception as error:
            # A run without its data is none of the reader's mistakes: an adapter of the zoo has none with it.
            level = logging.INFO if isinstance(error, SpantuneError) else logging.WARNING
            _log.log(level, "the examples are from the sample: %s", error)
            examples = _sample()
        fitting = [one for one in examples if len(one.context) <= self._longest] or list(_sample())
        random.Random(0).shuffle(fitting)
        self._found = tuple(sorted(fitting[:_KEPT], key=lambda one: len(one.context) > 900))


def _reported(models: Sequence[Model]) -> Sequence[Example]:
    """What the models were scored on, as the first record that says so names it."""
    from spantune.reports.judged_answers import reported_set

    for one in models:
        if one.record is None or one.record.scored_on != "reported":
            continue
        corpus = reported_set(one.record, one.folder)
        if corpus is not None:
            return corpus.examples
    raise SpantuneError("no run says what it was scored on")


def _sample() -> Sequence[Example]:
    from spantune.data import load_corpus

    return load_corpus("sample", split="validation").examples
