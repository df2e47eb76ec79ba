"""The page that asks a question about a whole document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from spantune.errors import DataError
from spantune.web.admission import QuestionForm, ScoredAnswer, page_with_form
from spantune.web.answer_scores import find_answers, in_groups
from spantune.web.documents.read_document import Document, pasted, read_document
from spantune.web.highlight import AnswerMark, ContextPiece, cut, in_lanes
from spantune.web.limits import upload_bytes, whole
from spantune.web.problem_details import Problem, detail_of
from spantune.web.security import requires_token
from spantune.web.state import web

PAGES = Blueprint("documents", __name__)


@dataclass(frozen=True)
class DocumentAnswer:
    """A place in a document that one or more models answered with.

    Attributes:
        place: page or line; "" for "no answer". pieces: of the text around it, with the answer marked.
    """

    answers: list[ScoredAnswer]
    place: str
    pieces: list[ContextPiece]


@PAGES.get("/documents")
@requires_token
def page() -> Response:
    """The empty form."""
    return _page(QuestionForm.read(MultiDict()))


@PAGES.post("/documents")
@requires_token
def ask() -> Response:
    """The form with the answers. The document comes back in the form, so that the next question needs no upload."""
    settings = web().settings
    request.max_content_length = request.max_form_memory_size = upload_bytes(settings)
    try:
        form = QuestionForm.read(request.form)
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    document = None
    try:
        document = _document()
        answers = form.answers(document.text, settings.max_document)
    except DataError as error:
        return _page(form, document, Problem(422, "Not a document that can be read", detail_of(error)))
    except Problem as problem:
        return _page(form, document, problem)
    return _page(form, document, answers=answers)


def _document() -> Document:
    """What was uploaded, else what was pasted (or came back from the last question)."""
    settings = web().settings
    uploaded = request.files.get("file")
    if uploaded is not None and uploaded.filename:
        most = round(settings.max_upload_mb * 1e6)
        content = uploaded.stream.read(most + 1)
        if len(content) > most:
            raise _too_large()
        name = uploaded.filename.replace("\\", "/").rsplit("/", 1)[-1][:200]
        return read_document(name, content, settings.max_document)
    return _named_again(pasted(request.form.get("text", ""), settings.max_document))


def _too_large() -> Problem:
    return Problem(413, "The file is too large", f"At most {web().settings.max_upload_mb:g} MB, found more.")


def _named_again(document: Document) -> Document:
    """A pasted text with the name and the pages of the document that it was before; a text that was edited has none."""
    if request.form.get("digest") != document.digest:
        return document
    starts = [at for at in map(whole, request.form.get("pages", "").split()) if at is not None]
    known = starts == sorted(set(starts)) and bool(starts) and starts[-1] <= len(document.text)
    return Document(document.text, request.form.get("name", "")[:200], tuple(starts) if known else ())


def _in_document(document: Document, form: QuestionForm, answers: list[ScoredAnswer]) -> DocumentAnswer:
    """Answers with the same place, and the text around it."""
    start, end = answers[0].prediction.start, answers[0].prediction.end
    if start == end:
        return DocumentAnswer(answers, "", [])
    first, last = document.around(start, end)
    text = document.text[first:last]
    marks = in_lanes(
        [AnswerMark(start - first, end - first, answer.model.number, answer.model.look) for answer in answers]
    )
    return DocumentAnswer(answers, document.place(start), cut(text, find_answers(text, form.golds), marks))


def _page(
    form: QuestionForm,
    document: Document | None = None,
    problem: Problem | None = None,
    answers: Sequence[ScoredAnswer] = (),
) -> Response:
    groups = in_groups(answers, lambda answer: (answer.right, (answer.prediction.start, answer.prediction.end)))
    groups.sort(
        key=lambda group: (not group[0].right, -len(group), -max(answer.prediction.probability for answer in group))
    )
    return page_with_form(
        "documents.html",
        problem,
        form=form,
        document=document,
        text=document.text if document else request.form.get("text", ""),
        places=[_in_document(document, form, group) for group in groups] if document else [],
        right=None if form.accepted is None else sum(answer.right for answer in answers),
    )
