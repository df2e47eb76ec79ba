"""The page that asks over a whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from spantune.data import Example
from spantune.errors import DataError
from spantune.web.admission import admit, client_gone
from spantune.web.ask.answer_queue import Answered
from spantune.web.ask.answers_view import Judged, judged, places
from spantune.web.documents.read_document import Document, pasted, read_document
from spantune.web.forms import check, chosen, true_answers
from spantune.web.highlight import Mark, Piece, cut, in_lanes
from spantune.web.limits import upload_bytes, whole
from spantune.web.problem_details import Problem, detail_of
from spantune.web.security import requires_token
from spantune.web.served_models import Model
from spantune.web.state import Web, web

PAGES = Blueprint("documents", __name__)


@dataclass(frozen=True)
class Found:
    """A place in a document that one or more models answered with.

    Attributes:
        text: "" for "no answer". place: page or line. pieces: of the text around it, with the answer marked.
        models: with the probability that each gives it. judged: None where nobody said what is right.
    """

    text: str
    place: str
    pieces: tuple[Piece, ...]
    models: tuple[tuple[Model, float], ...]
    judged: Judged | None = None


@dataclass(frozen=True)
class Asked:
    """What the form holds besides the document; see `ask_pages.Asked`."""

    question: str
    golds: tuple[str, ...]
    unanswerable: bool
    models: tuple[Model, ...]

    @classmethod
    def of(cls, form: MultiDict[str, str], models: tuple[Model, ...]) -> Asked:
        """From the form."""
        question = form.get("question", "").strip()
        return cls(question, true_answers(form), "unanswerable" in form, chosen(form, models))

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Accepted answers; () for "no answer", None where nobody said."""
        return self.golds or (() if self.unanswerable else None)


@PAGES.get("/documents")
@requires_token
def page() -> Response:
    """The empty form."""
    shared = web()
    return _page(shared, Asked.of(MultiDict(), shared.models))


@PAGES.post("/documents")
@requires_token
def ask() -> Response:
    """The form with the answers. The document comes back in the form, so that the next question needs no upload."""
    shared = web()
    request.max_content_length = request.max_form_memory_size = upload_bytes(shared.settings)
    try:
        request.form  # noqa: B018  (is read here)
    except RequestEntityTooLarge as error:
        raise _too_large(shared) from error
    asked = Asked.of(request.form, shared.models)
    document = None
    try:
        document = _document(shared)
        check(asked.models, asked.golds)
        example = Example("0", asked.question, document.text)
        admit([example], longest=shared.settings.max_document)
        answers = shared.answerer.ask([example], [one.name for one in asked.models], gone=client_gone())
    except DataError as error:
        problem = Problem(422, "Not a document that can be read", detail_of(error))
        return _page(shared, asked, document, problem)
    except Problem as problem:
        return _page(shared, asked, document, problem)
    return _page(shared, asked, document, found=_found(document, answers, asked))


def _document(shared: Web) -> Document:
    """What was uploaded, else what was pasted (or came back from the last question)."""
    longest = shared.settings.max_document
    uploaded = request.files.get("file")
    if uploaded is not None and uploaded.filename:
        most = round(shared.settings.max_upload_mb * 1e6)
        content = uploaded.stream.read(most + 1)
        if len(content) > most:
            raise _too_large(shared)
        name = uploaded.filename.replace("\\", "/").rsplit("/", 1)[-1][:200]
        return read_document(name, content, longest)
    return _named_again(pasted(request.form.get("text", ""), longest))


def _too_large(shared: Web) -> Problem:
    return Problem(413, "The file is too large", f"At most {shared.settings.max_upload_mb:g} MB, found more.")


def _named_again(document: Document) -> Document:
    """A pasted text with the name and the pages of the document that it was before; a text that was edited has none."""
    if request.form.get("digest") != document.digest:
        return document
    starts = [at for at in map(whole, request.form.get("pages", "").split()) if at is not None]
    known = starts == sorted(set(starts)) and bool(starts) and starts[-1] <= len(document.text)
    return Document(document.text, request.form.get("name", "")[:200], tuple(starts) if known else ())


def _found(document: Document, answers: Mapping[str, Answered], asked: Asked) -> list[Found]:
    """The different places, right ones first, then that of most models."""
    by_place: dict[tuple[int, int], list[tuple[Model, float]]] = {}
    for one in asked.models:
        said = answers[one.name].predictions[0]
        by_place.setdefault((said.start, said.end), []).append((one, said.probability))
    found = [_one(document, start, end, tuple(who), asked) for (start, end), who in by_place.items()]
    return sorted(found, key=lambda one: (not _right(one), -len(one.models), -max(share for _, share in one.models)))


def _one(document: Document, start: int, end: int, who: tuple[tuple[Model, float], ...], asked: Asked) -> Found:
    verdict = judged(document.text[start:end], asked.wanted, squad_v2=who[0][0].squad_v2)
    if start == end:
        return Found("", "", (), who, verdict)
    first, behind = document.around(start, end)
    text = document.text[first:behind]
    marks = in_lanes([Mark(start - first, end - first, one.number, one.look) for one, _ in who])
    pieces = tuple(cut(text, places(text, asked.golds), marks))
    return Found(document.text[start:end], document.place(start), pieces, who, verdict)


def _right(found: Found) -> bool:
    return found.judged is not None and bool(found.judged.em)


def _page(
    shared: Web,
    asked: Asked,
    document: Document | None = None,
    problem: Problem | None = None,
    found: list[Found] | None = None,
) -> Response:
    text = render_template(
        "documents.html",
        question=asked.question,
        golds=asked.golds,
        unanswerable=asked.unanswerable,
        may_be_none=any(one.squad_v2 for one in shared.models),
        document=document,
        text=document.text if document else request.form.get("text", ""),
        models=shared.models,
        chosen=asked.models,
        limits=shared.settings,
        problem=problem,
        found=found,
        right=None if asked.wanted is None else sum(len(one.models) for one in found or () if _right(one)),
    )
    response = Response(text, problem.status if problem else 200)
    response.headers.update(problem.headers if problem else {})
    return response
