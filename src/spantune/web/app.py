"""Puts the app together: `create_app`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, jsonify

from spantune.config import ServeConfig
from spantune.web import security
from spantune.web.answer_queue import Answerer
from spantune.web.api.routes import API
from spantune.web.ask.pages import PAGES as ASK_PAGES
from spantune.web.correct.pages import PAGES as CORRECT_PAGES
from spantune.web.documents.pages import PAGES as DOCUMENTS_PAGES
from spantune.web.example_questions import ExampleQuestions
from spantune.web.explore.pages import PAGES as EXPLORE_PAGES
from spantune.web.highlight import exact
from spantune.web.index_cache import Shelf
from spantune.web.limits import MOST_GUESSES, Buckets, form_bytes
from spantune.web.model_colours import with_places
from spantune.web.models import PanelSource
from spantune.web.problem_details import Problem, busy, explain_errors
from spantune.web.state import EXTENSION, Web, web

NAVIGATION = (
    ("Ask", "/"),
    ("Documents", "/documents"),
    ("Explore", "/explore"),
    ("Corrections", "/corrections"),
    ("API", "/api"),
)


def create_app(settings: ServeConfig, panel_source: PanelSource, studies: Sequence[Path | str] = ()) -> Flask:
    """A WSGI application that begins to load the models in the background.

    Args:
        panel_source: the models, known before they are loaded. studies: folders whose questions are explored.
    """
    app = Flask(__name__)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.add_template_filter(exact)
    token = security.token_for(settings)
    app.config.update(
        SECRET_KEY=security.session_key(token),
        MAX_CONTENT_LENGTH=form_bytes(settings),  # pages that take more say so
        MAX_FORM_MEMORY_SIZE=form_bytes(settings),
        MAX_FORM_PARTS=200,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_NAME="spantune",
    )
    shelf = Shelf(list(map(Path, studies)))
    models = with_places(panel_source.models, shelf.folders.values())
    shared = Web(
        settings=settings,
        shelf=shelf,
        known=models,
        answerer=Answerer(panel_source, waiting=settings.waiting, together=settings.batch),
        examples=ExampleQuestions(models, settings.max_context),
        buckets=Buckets(settings.rate),
        guesses=Buckets(min(settings.rate or MOST_GUESSES, MOST_GUESSES)),
        token=token,
    )
    app.extensions[EXTENSION] = shared
    security.protect(app, settings)
    explain_errors(app)
    app.context_processor(_for_every_page)
    for blueprint in (ASK_PAGES, DOCUMENTS_PAGES, EXPLORE_PAGES, CORRECT_PAGES, API, _ACCESS):
        app.register_blueprint(blueprint)
    shared.answerer.start()
    shared.examples.start()
    return app


def _for_every_page() -> dict[str, Any]:
    shared = web()
    return {"navigation": NAVIGATION, "notice": shared.answerer.notice, "broken": shared.broken}


_ACCESS = Blueprint("access", __name__)
_ACCESS.add_url_rule("/sign-in", "sign_in", security.sign_in, methods=["GET", "POST"])


@_ACCESS.get("/healthz")
def healthz() -> Response:
    """200 while the process answers at all; names the models that cannot answer."""
    return jsonify(status="alive", broken={model.name: reason for model, reason in web().broken})


@_ACCESS.get("/readyz")
def readyz() -> Response:
    """200 when questions are answered; 503 before and after."""
    answerer = web().answerer
    if answerer.state == "failed":
        raise Problem(503, "Not ready", answerer.notice)
    if not answerer.ready:
        raise busy("The models are not loaded.", 2)
    return jsonify(status="ready", models=web().names)
