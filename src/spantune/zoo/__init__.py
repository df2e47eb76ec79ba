"""The adapters that ship with the package: finished runs, called `zoo/NAME` wherever a run or a `--model` is named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spantune.errors import RunError, nearest

__all__ = ["FOLDER", "PREFIX", "each", "find", "names"]

PREFIX = "zoo/"
FOLDER = Path(__file__).parent
_MARK = "record.json"
_OWN = (_MARK, "spantune.json", "study.json", f"*/{_MARK}")
"""What a folder of runs of one's own has."""


def names() -> tuple[str, ...]:
    """What there is: `zoo/lora` and its like, in order of their names."""
    return tuple(f"{PREFIX}{path.parent.name}" for path in sorted(FOLDER.glob(f"*/{_MARK}")))


def each(runs: Iterable[str]) -> tuple[str, ...]:
    """The runs that were named, with all adapters in the place of `zoo`.

    A folder `zoo` in reach comes first where it holds runs; the one of spantune's own checkout, for one, does not.
    """
    own = any(path for pattern in _OWN for path in Path(PREFIX).glob(pattern))
    return tuple(name for run in runs for name in (names() if f"{run.rstrip('/')}/" == PREFIX and not own else (run,)))


def find(name: str | Path) -> Path:
    """The folder of a run: of the zoo if it is called `zoo/NAME` and there is no such folder, else `name` itself.

    RunError if the zoo has no such adapter.
    """
    called = str(name)
    if not called.startswith(PREFIX) or Path(name).exists():
        return Path(name)
    if called in names():
        return FOLDER / called.removeprefix(PREFIX)
    raise RunError(
        f"there is no adapter {called!r} in the zoo",
        expected=", ".join(names()) or "none: this version ships without adapters",
        found=called,
        fix=f"did you mean {near!r}?" if (near := nearest(called, names())) else "`spantune zoo` lists what there is",
    )
