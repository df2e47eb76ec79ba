"""The indexes of the served studies: read at the first request, in the background, and again when answers changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import suppress
from pathlib import Path

from spantune.runs import distinct_names
from spantune.runs.folder import PREDICTIONS
from spantune.web.question_index import QuestionIndex, read_index

_PATIENCE = 1.5
"""Seconds that a request waits for an index before it answers that it is being read."""


class Unread(Exception):
    """The index is still being read."""


class Shelf:
    """The studies by the name of their folder; equal names are numbered. No path is ever made from a name."""

    def __init__(self, studies: Sequence[Path], read: Callable[[Path], QuestionIndex] = read_index) -> None:
        paths = dict.fromkeys(path.resolve() for path in studies)
        names = distinct_names(path.name or "study" for path in paths)
        self.folders: dict[str, Path] = dict(zip(names, paths, strict=True))
        self._read = read
        self._indexes: dict[str, tuple[dict[Path, int], Future[QuestionIndex]]] = {}
        self._lock = threading.Lock()

    def index(self, name: str, patience: float = _PATIENCE) -> QuestionIndex:
        """The index of a study, after waiting for it for `patience` seconds at most.

        Raises:
            KeyError: no study has this name. Unread: it is being read. Incomplete: it cannot be explored.
        """
        folder = self.folders[name]
        state = _state(folder)
        with self._lock:
            known, coming = self._indexes.get(name, ({}, None))
            if coming is None or known != state:
                coming = Future()
                threading.Thread(target=self._fill, args=(coming, folder), daemon=True).start()
                self._indexes[name] = (state, coming)
        try:
            return coming.result(timeout=patience)
        except TimeoutError:
            raise Unread(name) from None
        except Exception:
            with self._lock:  # the next request tries again: a missing file may come back
                self._indexes.pop(name, None)
            raise

    def _fill(self, coming: Future[QuestionIndex], folder: Path) -> None:
        try:
            coming.set_result(self._read(folder))
        except BaseException as error:
            coming.set_exception(error)


def _state(study: Path) -> dict[Path, int]:
    """When the answers of its runs were written."""
    times = {}
    for path in study.glob(f"*/{PREDICTIONS}"):
        with suppress(OSError):  # a run that is being replaced
            times[path] = path.stat().st_mtime_ns
    return times
