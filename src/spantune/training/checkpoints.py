"""Checkpoints on disk: which one is whole, and when they may go."""

from __future__ import annotations

import shutil
from pathlib import Path

from spantune.records import History, RunFolder

# The Trainer writes this file last: a checkpoint without it was torn by a crash.
_LAST_WRITTEN = "trainer_state.json"


def last_checkpoint(folder: RunFolder, history: History) -> str | None:
    """The newest whole checkpoint, or None. Torn ones are removed, and the history is cut back to its step."""
    whole: dict[int, Path] = {}
    for path in folder.checkpoints.glob("checkpoint-*"):
        if (path / _LAST_WRITTEN).is_file():
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    step = max(whole, default=0)
    history.truncate_after(step)
    return str(whole[step]) if whole else None


def remove_checkpoints(folder: RunFolder) -> None:
    """A finished run needs none."""
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
