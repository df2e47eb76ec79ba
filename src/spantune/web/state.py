"""What the pages and the API of one app share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask import current_app

from spantune.config import ServeConfig
from spantune.web.ask.answer_queue import Answerer
from spantune.web.ask.example_questions import ExampleQuestions
from spantune.web.explore.index_cache import Shelf
from spantune.web.limits import Buckets
from spantune.web.served_models import Model

EXTENSION = "spantune"


@dataclass(frozen=True)
class Web:
    """One app.

    Attributes:
        shelf: the studies that are served. models: what answers.
        answerer: the queue before the models. examples: questions to try. buckets: who asked how much.
        token: what uploads and corrections need; None where nobody but this machine reaches the app.
    """

    settings: ServeConfig
    shelf: Shelf
    models: tuple[Model, ...]
    answerer: Answerer
    examples: ExampleQuestions
    buckets: Buckets
    token: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(one.name for one in self.models)

    @property
    def data_dir(self) -> Path:
        """Folder for what people enter."""
        return Path(self.settings.data_dir)


def web() -> Web:
    """That of the app whose request is being answered."""
    found: Web = current_app.extensions[EXTENSION]
    return found
