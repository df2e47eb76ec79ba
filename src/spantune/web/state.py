"""What the pages and the API of one app share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask import abort, current_app

from spantune.config import ServeConfig
from spantune.web.answer_queue import Answerer
from spantune.web.corrections import Corrections
from spantune.web.example_questions import ExampleQuestions
from spantune.web.index_cache import Shelf
from spantune.web.limits import Buckets
from spantune.web.models import Model
from spantune.web.question_index import QuestionIndex

EXTENSION = "spantune"


@dataclass(frozen=True)
class Web:
    """One app.

    Attributes:
        shelf: the studies that are served. known: the models, also those that are broken.
        answerer: the queue before the models. examples: questions to try. buckets: how much each client asked.
        guesses: how many wrong tokens each client sent.
        token: what uploads and corrections need; None if only this machine reaches the app.
    """

    settings: ServeConfig
    shelf: Shelf
    known: tuple[Model, ...]
    answerer: Answerer
    examples: ExampleQuestions
    buckets: Buckets
    guesses: Buckets
    token: str | None

    @property
    def models(self) -> tuple[Model, ...]:
        """What answers, once the models are loaded."""
        broken = self.answerer.broken
        return tuple(model for model in self.known if model.name not in broken)

    @property
    def broken(self) -> list[tuple[Model, str]]:
        """The models that cannot answer, and why."""
        broken = self.answerer.broken
        return [(model, broken[model.name]) for model in self.known if model.name in broken]

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(model.name for model in self.models)

    def index(self, study: str) -> QuestionIndex:
        """As `Shelf.index`; if no study has this name, the page is not found."""
        return self.shelf.index(study) if study in self.shelf.folders else abort(404)

    @property
    def corrections(self) -> Corrections:
        """What people corrected."""
        return Corrections(Path(self.settings.data_dir))


def web() -> Web:
    """The state of the app whose request is being answered."""
    shared: Web = current_app.extensions[EXTENSION]
    return shared
