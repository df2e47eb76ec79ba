"""Checkpoints on disk: which one is whole, and what becomes of one that could not be written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from spantune.errors import RunError
from spantune.runs import History, RunFolder
from spantune.runs.atomic_files import explained

# The Trainer writes this file last: a checkpoint without it was torn by a crash.
_LAST_WRITTEN = "trainer_state.json"
_FULL_BYTES = 2**20  # less than this is no space for weights


def last_checkpoint(folder: RunFolder, history: History) -> str | None:
    """The newest whole checkpoint, or None. Torn ones are removed, and the history is cut back to its step."""
    whole: dict[int, Path] = {}
    for path in folder.checkpoints.glob("checkpoint-*"):
        if _is_whole(path):
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    step = max(whole, default=0)
    history.truncate_after(step)
    return str(whole[step]) if whole else None


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _LAST_WRITTEN).read_bytes())
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def whole_or_gone(target: Path) -> Iterator[None]:
    """Remove a folder of weights whose writing failed, so that it neither fills the disk nor passes for a whole one.

    Raises:
        RunError: the disk is full or refuses; each library that writes weights says this in another way.
    """
    try:
        with explained(target):
            yield
    except (RunError, RuntimeError, SafetensorError) as error:
        full = shutil.disk_usage(target.parent).free < _FULL_BYTES
        shutil.rmtree(target, ignore_errors=True)
        if full and not isinstance(error, RunError):
            raise RunError(
                "there is no space left for the weights",
                where=str(target),
                found=str(error).splitlines()[0],
                fix="free some space and continue with --resume",
            ) from error
        raise
