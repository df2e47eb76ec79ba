"""Names beside their points and lines that cover nothing.

adjustText does not replace this: it imports pyplot, which keeps global state, and in the same figures its names cover
points and error bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spantune.reports.figures.style import Look

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""

# Where a name may be: direction from the point (x, y), near places first.
_PLACES = [
    (x * reach, y * reach)
    for reach in (1.0, 1.8, 2.8, 4.0)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
]
_NEAR = 8  # of the places
_SIZE = 11.5  # points
_CLEARANCE = 13.0  # pixels between a point's centre and its name


def name_points(axes: Axes, points: Sequence[tuple[str, Look, float, float]], taken: Sequence[Box]) -> None:
    """Write each point's name where it covers no name, no point and none of the `taken` boxes, as near as it can be.

    Args:
        points: name, look and data coordinates. taken: pixel boxes to keep free, such as the error bars'.
    """
    to_data = axes.transData.inverted().transform
    at = axes.transData.transform([(x, y) for *_, x, y in points])
    boxes: list[Box] = [*((x - 8, y - 8, x + 8, y + 8) for x, y in at), *taken]
    frame = axes.get_window_extent()
    room = (frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 + 6)
    for (x, y), (name, look, *_) in zip(at, points, strict=True):
        text = axes.text(0, 0, name, fontsize=_SIZE, color=look.ink, transform=None)
        extent = text.get_window_extent()
        places = [_placed(x, y, extent.width, extent.height, *place) for place in _PLACES]
        best = min(range(len(places)), key=lambda i: (_cost(places[i], boxes, room), i))
        left, bottom, right, top = places[best]
        if best >= _NEAR:  # too far to be seen as its point's name
            nearest = (min(max(x, left), right), min(max(y, bottom), top))
            ends = to_data([(x, y), nearest])
            axes.plot(*zip(*ends, strict=True), color=look.ink, linewidth=0.8, alpha=0.6, zorder=1)
        # data coordinates, so that the name stays with its point at any resolution
        text.set_transform(axes.transData)
        text.set_position(tuple(to_data((left, bottom - extent.y0))))
        boxes.append(places[best])


def name_line_ends(axes: Axes, ends: Sequence[tuple[str, Look, float]]) -> None:
    """Write names right of the axes at the heights of the lines' ends (data units), moved apart if they touch.

    The axes are made narrower until the longest name fits.
    """
    _make_room(axes, [name for name, _, _ in ends])
    pixels = [float(axes.transData.transform((0, height))[1]) for _, _, height in ends]
    frame = axes.get_window_extent()
    heights = spread_apart(pixels, 19.0, frame.y0 + 6, frame.y1)
    outside: dict[str, Any] = {"transform": axes.transAxes}
    across = [1 + 7 / frame.width, 1 + 19 / frame.width]
    for (name, look, _), wanted, height in zip(ends, pixels, heights, strict=True):
        y = (height - frame.y0) / frame.height
        ends_at = (wanted - frame.y0) / frame.height
        axes.plot(across, [ends_at, y], color=look.colour, linewidth=1, clip_on=False, **outside)
        axes.text(1 + 23 / frame.width, y, name, fontsize=_SIZE, color=look.ink, va="center", **outside)


def _make_room(axes: Axes, names: Sequence[str]) -> None:
    longest = 0.0
    for name in names:
        text = axes.text(0, 0, name, fontsize=_SIZE)
        longest = max(longest, text.get_window_extent().width)
        text.remove()
    figure_width = axes.figure.get_window_extent().width
    left, bottom, _, height = axes.get_position().bounds
    right = 0.985 - min((longest + 28) / figure_width, 0.5)
    axes.set_position((left, bottom, right - left, height))


def spread_apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The wanted positions, moved as little as it takes to lie `gap` apart, between low and high if they fit."""

    def centre(cluster: Sequence[int]) -> float:
        half = (len(cluster) - 1) * gap / 2
        return min(max(sum(wanted[i] for i in cluster) / len(cluster), low + half), max(high - half, low + half))

    clusters: list[list[int]] = []
    for index in sorted(range(len(wanted)), key=wanted.__getitem__):
        last = [index]
        while clusters:
            upper = centre(clusters[-1]) + (len(clusters[-1]) - 1) * gap / 2
            if upper + gap <= centre(last) - (len(last) - 1) * gap / 2:
                break
            last = clusters.pop() + last
        clusters.append(last)
    placed = [0.0] * len(wanted)
    for cluster in clusters:
        for place, index in enumerate(cluster):
            placed[index] = centre(cluster) + (place - (len(cluster) - 1) / 2) * gap
    return placed


def overlap(box: Box, other: Box) -> float:
    """Area that two boxes share, in square pixels."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _placed(x: float, y: float, width: float, height: float, right: float, up: float) -> Box:
    """The box of a name that lies in a direction from its point: beside, above or at a corner of it."""
    left = x + right * _CLEARANCE + (0 if right > 0 else -width if right < 0 else -width / 2)
    bottom = y + up * _CLEARANCE + (0 if up > 0 else -height if up < 0 else -height / 2)
    return (left, bottom, left + width, bottom + height)


def _cost(box: Box, taken: Sequence[Box], room: Box) -> float:
    """Square pixels of the box that cover something or lie outside the room."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return sum(overlap(box, other) for other in taken) + 4 * (area - overlap(box, room))
