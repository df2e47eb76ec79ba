"""One calm look for all plots. matplotlib is loaded when the first figure is made, and its global state left alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.records.files import explained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, FAINT = "#22262b", "#667079", "#e4e7ea"
_SIZE = (9.0, 5.4)  # inches; 900 pixels wide at 100 dots an inch
_DOTS = 160
# Okabe and Ito's palette, told apart with every kind of colour vision; yellow left out (too light for lines).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#22262b")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.6)), (0, (1.4, 1.3)))


@dataclass(frozen=True)
class Look:
    """How one group of runs is drawn, in every plot alike."""

    colour: str
    marker: str
    dash: Any

    @property
    def ink(self) -> str:
        """The colour, dark enough for text on white."""
        return "#" + "".join(f"{int(int(self.colour[i : i + 2], 16) * 0.72):02x}" for i in (1, 3, 5))


def looks(methods: Sequence[str]) -> list[Look]:
    """A look for each group, by the order of the methods' registry: never the same twice (up to 77 groups)."""
    from spantune.methods import methods as registered

    known = list(registered())
    order = sorted(range(len(methods)), key=lambda i: (known.index(methods[i]) if methods[i] in known else 99, i))
    found: dict[int, Look] = {}
    for place, index in enumerate(order):
        dash = _DASHES[place // len(_COLOURS) % len(_DASHES)]
        found[index] = Look(_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)], dash)
    return [found[index] for index in range(len(methods))]


def new_figure(title: str, subtitle: str) -> tuple[Figure, Axes]:
    """A figure with its title on the left and one empty pair of axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.072, 0.13, 0.898, 0.665))
    figure.text(0.022, 0.955, title, fontsize=16, fontweight="bold", color=INK, va="center")
    figure.text(0.022, 0.898, subtitle, fontsize=11, color=GREY, va="center")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=FAINT, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=GREY, labelsize=11, length=0, pad=6)
    return figure, axes


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Axis names with their units; that of the y axis lies above it, to be read without turning the head."""
    axes.set_xlabel(x, fontsize=11.5, color=INK, labelpad=8)
    axes.figure.text(0.022, 0.826, y, fontsize=11.5, color=INK, va="center")


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg (byte for byte the same on every call); RunError where the folder refuses."""
    written = []
    with explained(stem), _plain_svg():
        stem.parent.mkdir(parents=True, exist_ok=True)
        for ending, options in ((".png", {"dpi": _DOTS}), (".svg", {"metadata": {"Date": None}})):
            path = stem.with_name(stem.name + ending)
            figure.savefig(path, **options)
            written.append(path)
    return written


@contextmanager
def _plain_svg() -> Iterator[None]:
    """Text stays text in SVG (small, and found by a search), and its ids are not drawn at random."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "spantune"}):
        yield
