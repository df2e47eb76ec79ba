"""What happens to files: a bit flips, the end is cut off, nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def flip(path: Path, place: float = 0.5) -> None:
    """Change one bit of a file, at a share of its length."""
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Cut three bytes off."""
    path.write_bytes(path.read_bytes()[:-3])


DAMAGE: dict[str, Callable[[Path], object]] = {"flip": flip, "cut": cut, "empty": lambda path: path.write_bytes(b"")}
