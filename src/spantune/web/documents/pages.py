"""The page that asks a question about a whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from spantune.errors import DataError
from spantune.web.admission import QuestionForm, page_with_form
from spantune.web.answer_queue import RequestAnswers
from spantune.web.answer_scores import AnswerScore, find_answers, score_answer
from spantune.web.documents.read_document import Document, pasted, read_document
from spantune.web.highlight import AnswerMark, ContextPiece, cut, in_lanes
from spantune.web.limits import upload_bytes, whole
from spantune.web.models import Model
from spantune.web.problem_details import Problem, detail_of
from spantune.web.security import requires_token
from spantune.web.state import web

PAGES = Blueprint("documents", __name__)


@dataclass(frozen=True)
class DocumentAnswer:
    """A place in a document that one or more models answered with.

    Attributes:
        text: "" for "no answer". place: page or line. pieces: of the text around it, with the answer marked.
        models: with the probability that each gives it. score: None where the accepted answers are not known.
    """

    text: str
    place: str
    pieces: list[ContextPiece]
    models: list[tuple[Model, float]]
    score: AnswerScore | None

    @property
    def right(self) -> bool:
        """Whether it is known to be right."""
        return self.score is not None and self.score.right


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
    return _page(form, document, answers=_answers(document, answers, form))


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


def _answers(document: Document, answers: Mapping[str, RequestAnswers], form: QuestionForm) -> list[DocumentAnswer]:
    """The different places, right ones first, then that of most models."""
    by_place: dict[tuple[int, int], list[tuple[Model, float]]] = {}
    for model in form.models:
        (prediction,) = answers[model.name].predictions
        by_place.setdefault((prediction.start, prediction.end), []).append((model, prediction.probability))
    shown = [_answer(document, start, end, models, form) for (start, end), models in by_place.items()]
    return sorted(
        shown, key=lambda answer: (not answer.right, -len(answer.models), -max(share for _, share in answer.models))
    )


def _answer(
    document: Document, start: int, end: int, models: list[tuple[Model, float]], form: QuestionForm
) -> DocumentAnswer:
    answer = document.text[start:end]
    asked = models[0][0]
    score = score_answer(answer, form.accepted, squad_v2=asked.squad_v2, language=asked.language)
    if not answer:
        return DocumentAnswer("", "", [], models, score)
    first, last = document.around(start, end)
    text = document.text[first:last]
    marks = in_lanes([AnswerMark(start - first, end - first, model.number, model.look) for model, _ in models])
    return DocumentAnswer(
        answer, document.place(start), cut(text, find_answers(text, form.golds), marks), models, score
    )


def _page(
    form: QuestionForm,
    document: Document | None = None,
    problem: Problem | None = None,
    answers: list[DocumentAnswer] | None = None,
) -> Response:
    right = sum(len(answer.models) for answer in answers or () if answer.right)
    return page_with_form(
        "documents.html",
        problem,
        form=form,
        document=document,
        text=document.text if document else request.form.get("text", ""),
        answers=answers,
        right=None if form.accepted is None else right,
    )
