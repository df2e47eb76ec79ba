"""One calm look for all plots. matplotlib is loaded when the first figure is made, and its global state left alone."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.runs.atomic_files import make_folder, write_bytes_atomic, write_text_atomic

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, FAINT = "#22262b", "#667079", "#e4e7ea"
_DOTS = 160
_PER_INCH = 72  # an SVG counts in points
_IN_A_NOTEBOOK = 84  # pixels an inch
# Okabe and Ito's palette, distinguishable with every kind of colour vision; yellow left out (too light for lines).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", INK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.6)), (0, (1.4, 1.3)))
_TIP = "tip "  # how the SVG id of what has a tip begins


@dataclass(frozen=True)
class Form:
    """Size of a picture in inches; `band` of its height is for the title."""

    width: float
    height: float
    band: float

    def taller(self, inches: float) -> Form:
        """The same with more room below the title."""
        return Form(self.width, self.height + max(inches, 0.0), self.band)


WIDE = Form(9.0, 5.4, 0.8)
"""For files and for the page; 900 pixels wide at 100 dots per inch."""
NARROW = Form(4.1, 4.3, 0.0)
"""For the page on a phone, which has the title in words."""


@dataclass(frozen=True)
class Look:
    """How one group of runs is drawn, in every plot alike."""

    colour: str
    marker: str
    dash: Any

    @property
    def ink(self) -> str:
        """The colour, dark enough for text on white."""
        return darker(self.colour)


def darker(colour: str) -> str:
    """A colour that text on white can have."""
    return "#" + "".join(f"{int(int(colour[i : i + 2], 16) * 0.66):02x}" for i in (1, 3, 5))


def looks(methods: Sequence[str]) -> list[Look]:
    """A look for each group: never the same twice (up to 77 groups)."""
    return [_look(place) for place in places(methods)]


def with_looks_of(styles: Mapping[str, Look], labels: Iterable[str]) -> list[Look]:
    """A look for each label: its own where it has one, as elsewhere in the report, else one that is still free."""
    free = itertools.count(len(styles))
    return [styles[label] if label in styles else _look(next(free)) for label in labels]


def _look(place: int) -> Look:
    line, colour = divmod(place, len(_COLOURS))
    return Look(_COLOURS[colour], _MARKERS[place % len(_MARKERS)], _DASHES[line % len(_DASHES)])


def places(methods: Sequence[str]) -> list[int]:
    """By group its place among them in the order of the methods' registry, which chooses its look everywhere."""
    from spantune.methods import methods as registered

    known = list(registered())
    order = sorted(range(len(methods)), key=lambda i: (known.index(methods[i]) if methods[i] in known else 99, i))
    return sorted(range(len(methods)), key=order.__getitem__)


def new_figure(title: str, subtitle: str, form: Form = WIDE) -> tuple[Figure, Axes]:
    """A figure with its title on the left and one empty pair of axes."""
    figure = empty_figure(title, subtitle, form)
    left, right = (0.65, 0.27) if form.band else (0.48, 0.12)
    width, height = 1 - (left + right) / form.width, 1 - (0.7 + form.band + 0.31) / form.height
    return figure, calm(figure.add_axes((left / form.width, 0.7 / form.height, width, height)))


def add_panel(figure: Figure, form: Form, left: float, bottom: float, width: float, height: float) -> Axes:
    """New axes, in inches; `bottom` is counted from the top of the figure."""
    place = (left / form.width, 1 - bottom / form.height, width / form.width, height / form.height)
    return calm(figure.add_axes(place))


def empty_figure(title: str, subtitle: str, form: Form = WIDE) -> Figure:
    """A figure with its title and no axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _figure_class()(figsize=(form.width, form.height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    if form.band:
        place: dict[str, Any] = {"x": 0.2 / form.width, "va": "center", "parse_math": False}
        figure.text(y=1 - 0.24 / form.height, s=title, fontsize=16, fontweight="bold", color=INK, **place)
        figure.text(y=1 - 0.55 / form.height, s=subtitle, fontsize=11, color=GREY, **place)
    return figure


@cache
def _figure_class() -> type[Figure]:
    """matplotlib's, which a notebook shows without any magic words."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            drawn = io.BytesIO()
            self.savefig(drawn, dpi=_DOTS)
            return drawn.getvalue(), {"width": round(self.get_figwidth() * _IN_A_NOTEBOOK)}

    return ShownFigure


def calm(axes: Axes) -> Axes:
    """The axes with no frame but the bottom line, a faint grid behind the data, small grey numbers."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=FAINT, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=GREY, labelsize=11, length=0, pad=6)
    return axes


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Axis names with their units; that of the y axis is above it, to be read without turning the head."""
    axes.set_xlabel(x, fontsize=11.5, color=INK, labelpad=8)
    width, height = (size / 100 for size in axes.figure.bbox.size)
    top = axes.get_position().y1 + 0.17 / height
    axes.figure.text(0.2 / width if width > 5 else 0.02, top, y, fontsize=11.5, color=INK, va="center")


def tip(artist: Artist, text: str) -> None:
    """The tooltip of the artist, in SVG."""
    artist.set_gid(_TIP + " ".join(text.split()))


def save(figure: Figure, stem: Path, text: str | None = None) -> list[Path]:
    """Write `stem`.png and `stem`.svg (byte for byte the same on every call); RunError if the folder refuses.

    Args:
        text: the figure as SVG, where it was made already.
    """
    paths = [stem.with_name(stem.name + ending) for ending in (".png", ".svg")]
    make_folder(stem.parent)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DOTS)
    write_bytes_atomic(paths[0], drawn.getvalue())
    write_text_atomic(paths[1], text or svg(figure))
    return paths


def svg(figure: Figure, salt: str = "spantune") -> str:
    """The figure as SVG. Text stays text (small, and found by a search), and ids depend on `salt` alone."""
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return re.sub(rf'<g id="{_TIP}([^"]*)">', r"<g><title>\1</title>", drawn.getvalue())


def page_svg(text: str, name: str, about: str, form: Form) -> str:
    """A figure as an element of a page: without its title, in the page's font and colours (`colour_names`).

    Args:
        text: what `svg` returned, with `name` for its salt.
        name: what its ids begin with, unlike those of any other figure of the page. about: read out to the blind.
        form: the figure's.
    """
    from html import escape

    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    top, width, height = form.band * _PER_INCH, form.width * _PER_INCH, (form.height - form.band) * _PER_INCH
    head = f'<svg class="{"wide" if form.band else "narrow"}" viewBox="0 {top:g} {width:g} {height:g}" role="img" '
    text = re.sub(r"<svg[^>]*>", lambda _: f'{head}aria-label="{escape(about)}">', text, count=1)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font(-family)?: ?([\d.]+px )?'[^;\"]*", lambda m: f"font-size: {m[2]}" if m[2] else "", text)
    names = colour_names()
    return re.sub(
        r"#[0-9a-fA-F]{6}\b", lambda match: f"var({names[key]})" if (key := match[0].lower()) in names else key, text
    )


def colour_names() -> dict[str, str]:
    """The CSS variables in which a page keeps the colours of its figures, so that a dark page has lighter ones."""
    named = {INK: "--ink", darker(INK): "--ink", GREY: "--grey", FAINT: "--faint", "#ffffff": "--paper"}
    for number, colour in enumerate(_COLOURS[:-1], 1):
        named |= {colour.lower(): f"--c{number}", darker(colour): f"--t{number}"}
    return named
