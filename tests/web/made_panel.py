"""An app over a panel that answers at once: each of its models finds the first number, or the first word."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from spantune.answering.engine import CorpusAnswers
from spantune.answering.token_probabilities import Inside, SeenWindow
from spantune.config import ServeConfig
from spantune.data import Example
from spantune.data.prediction import Candidate, Prediction
from spantune.web import create_app
from spantune.web.models import Model
from spantune.web.state import EXTENSION, Web

NUMBER, WORD = re.compile(r"\d+"), re.compile(r"\w+")


def says(example: Example, pattern: re.Pattern[str], *, may_be_none: bool = False) -> Prediction:
    found = pattern.search(example.context)
    if found is None and may_be_none:
        return Prediction(example.id, "", 0, 0, 1.0, 0.75, 1.0, 0.75)
    start, end = found.span() if found else (0, len(example.context))
    best = Candidate(example.context[start:end], start, end, 3.0, 0.625)
    n_best = (best, Candidate(example.context[:end], 0, end, 1.0, 0.125))
    return Prediction(example.id, n_best[0].text, start, end, 3.0, 0.625, -1.0, 0.0, n_best)


def sees(example: Example, pattern: re.Pattern[str]) -> Inside:
    spans = np.array([one.span() for one in WORD.finditer(example.context)] or [(0, 1)])
    found = pattern.search(example.context)
    at = max(0, int((spans[:, 0] <= (found.start() if found else 0)).sum()) - 1)
    starts = np.full(len(spans), 0.1 / len(spans))
    starts[at] += 0.9
    window = SeenWindow(0, len(example.context), 1.0, 3.0, -1.0)
    return Inside(spans, starts, starts.copy(), (window, window), 1, 0.0)


@dataclass
class FakePanel:
    """Three models; `batches` keeps how many questions were answered together, and by whom.

    Where there is a `gate` it waits there; `entered` tells that it was asked.
    """

    batches: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    gate: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)
    fails: Callable[[Example], Exception | None] = lambda example: None

    def answer(
        self, examples: Sequence[Example], *, n_best: int = 20, names: Sequence[str] | None = None
    ) -> dict[str, CorpusAnswers]:
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(20)
        self.batches.append((len(examples), tuple(names or ())))
        for error in map(self.fails, examples):
            if error is not None:
                raise error
        kinds = {"numbers": (NUMBER, False), "words": (WORD, False), "careful": (NUMBER, True)}
        return {
            name: CorpusAnswers(
                predictions=[says(one, kinds[name][0], may_be_none=kinds[name][1]) for one in examples],
                seconds=0.0125,
                windows=1,
            )
            for name in kinds
            if names is None or name in names
        }

    def inside(self, example: Example, *, names: Sequence[str] | None = None) -> Mapping[str, Inside]:
        kinds = {"numbers": NUMBER, "words": WORD, "careful": NUMBER}
        return {name: sees(example, kind) for name, kind in kinds.items() if names is None or name in names}


@dataclass
class FakeSource:
    """Their source; `load` gives the panel, or raises what is in its place."""

    panel: FakePanel | Exception = field(default_factory=FakePanel)
    models: tuple[Model, ...] = (
        Model("numbers", Path("numbers"), "Numbers", 0),
        Model("words", Path("words"), "Words <b>", 1),
        Model("careful", Path("careful"), "Careful", 2, squad_v2=True),
    )
    broken: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Any:
        if isinstance(self.panel, Exception):
            raise self.panel
        return self.panel


Make = Callable[..., FlaskClient]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a client of an app with settings of its own; waits until its models are there."""
    apps: list[Flask] = []

    def made(source: FakeSource | None = None, *, wait: bool = True, **settings: Any) -> FlaskClient:
        config = ServeConfig(**{"data_dir": str(tmp_path / "data"), **settings})
        app = create_app(config, source or FakeSource())
        apps.append(app)
        shared = of(app)
        shared.examples.wait(20)
        if wait:
            shared.answerer.wait_until_loaded(20)
        return app.test_client()

    yield made
    for app in apps:
        of(app).answerer.close(5)


@pytest.fixture
def client(make: Make) -> FlaskClient:
    return make()


def of(app: Flask) -> Web:
    shared: Web = app.extensions[EXTENSION]
    return shared
