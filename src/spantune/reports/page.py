"""The report as one HTML file that needs nothing else: no network, and scripts only for the browser of
questions. Every text of the data is escaped (Jinja's autoescape), and scripts other than ours are refused by the page's
own policy."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.reports.headline import p_shown
from spantune.reports.tables import number_format
from spantune.scoring.disagreements import right_and_wrong
from spantune.scoring.error_kinds import KINDS
from spantune.scoring.statistics import Comparison

if TYPE_CHECKING:
    from jinja2 import Template

    from spantune.reports.browser import Shown
    from spantune.reports.judged_answers import Evidence

_UNSEEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff]"
)
"""Control characters: those that turn text around could make a page say something else than it does."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page: as SVG for wide and narrow windows.

    Attributes:
        title: for tabs. caption: below it, also read out.
    """

    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class MatrixCell:
    """A cell of a matrix: its text, how it is shaded, and what it says in full. `right` and `wrong` are places of
    methods, for the browser."""

    text: str
    kind: str = ""
    about: str = ""
    right: int | None = None
    wrong: int | None = None


Matrix = list[tuple[str, list[MatrixCell]]]


def _matrix(names: Sequence[str], cell: Callable[[str, str], MatrixCell]) -> Matrix:
    """A row and a column for each method, with nothing to say where they meet themselves."""
    return [
        (row, [MatrixCell("·", "self") if row == column else cell(row, column) for column in names]) for row in names
    ]


def differences_matrix(comparison: Comparison) -> Matrix:
    """F1 of the row's method minus the column's, in points; shaded where significant."""

    def cell(row: str, column: str) -> MatrixCell:
        pair = comparison.difference(row, column)
        sign = 1 if pair.first == row else -1
        points = sign * pair.points
        low, high = sorted(sign * bound for bound in pair.interval)
        kind = ("plus" if points > 0 else "minus") if pair.significant else "none"
        about = f"{row} minus {column}: {points:+.2f} points ({low:+.2f} to {high:+.2f}), {p_shown(pair.p_holm)}"
        text = f"{points:+.1f}".replace("-", "−")
        return MatrixCell("0.0" if text[1:] == "0.0" else text, kind, about)

    return _matrix([standing.method for standing in comparison.standings], cell)


def right_matrix(evidence: Evidence, order: Sequence[str]) -> Matrix:
    """How many questions the row's method gets right and the column's wrong."""
    counts, place = right_and_wrong(evidence.scores), {name: at for at, name in enumerate(evidence.scores.methods)}

    def cell(row: str, column: str) -> MatrixCell:
        count = int(counts[place[row], place[column]])
        return MatrixCell(f"{count:,}", "", f"{row} right, {column} wrong: {count:,}", place[row], place[column])

    return _matrix(order, cell)


def render(content: Mapping[str, Any]) -> str:
    """The page. `content` is what `templates/report.html` asks for; see `reports.content`."""
    from markupsafe import Markup

    theme, script = (_template(name).render() for name in ("theme.js", "report.js"))
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in (theme, script)
    )
    return _template("report.html").render(
        **content,
        style=Markup(_template("report.css").render()),
        theme=Markup(theme),
        script=Markup(script),
        hashes=Markup(hashes),
        kinds=list(KINDS),
        nothing=number_format.NOTHING,
    )


def render_questions(questions: Sequence[Shown]) -> str:
    """Questions with their answers marked, as HTML for a notebook: styled in its tags, since viewers of notebooks
    throw away what else a page is styled with."""
    return _template("questions.html").render(questions=questions)


def visible(value: Any) -> Any:
    """A text with its control characters named; anything else as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", value)


@cache
def _template(name: str) -> Template:
    """Scripts and style are ours and not escaped; the page is."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda name: (name or "").endswith(".html"),
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
