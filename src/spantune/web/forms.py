"""What the forms of Ask and Documents have in common: who is asked, and what the true answers are."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.datastructures import MultiDict

from spantune.web.limits import MOST_ANSWERS
from spantune.web.problem_details import Problem
from spantune.web.served_models import Model

_TITLE = "Not a question that can be answered"


def chosen(form: MultiDict[str, str], models: Sequence[Model]) -> tuple[Model, ...]:
    """The models that are asked; unknown names are left out.

    An address that names none means all of them. A form says with `choice` that it lets choose: () where nobody did.
    """
    names = set(form.getlist("model"))
    found = tuple(one for one in models if one.name in names)
    return found if found or "choice" in form else tuple(models)


def true_answers(form: MultiDict[str, str]) -> tuple[str, ...]:
    """The accepted answers, one a line."""
    lines = form.get("answers", "").replace("\r\n", "\n").split("\n")
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def check(names: Sequence[object], golds: Sequence[str]) -> None:
    """Problem 422 where no model is asked, or there are too many true answers."""
    if not names:
        raise Problem(422, _TITLE, "Choose a model.")
    if len(golds) > MOST_ANSWERS:
        raise Problem(422, _TITLE, f"At most {MOST_ANSWERS} true answers, found {len(golds):,}.")
