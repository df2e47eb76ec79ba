"""Checkpoints on disk: kept whole with their digests, and of several the newest that is whole."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from spantune.errors import RunError
from spantune.runs import History, RunFolder
from spantune.runs.atomic_files import TEMPORARY, explained, replace_folder, write_json_atomic
from spantune.runs.digests import altered, digests_of, sealed
from spantune.runs.from_json import read_json
from spantune.runs.interruption import uninterrupted

CHECKPOINT_WEIGHTS, CHECKPOINT_BEST, CHECKPOINT_PROGRESS = "trainable.safetensors", "best.safetensors", "progress.json"
_DIGESTS = "digests.json"
_STATE = "trainer_state.json"
_NEEDED = (CHECKPOINT_WEIGHTS, CHECKPOINT_PROGRESS, _STATE, "optimizer.pt", "scheduler.pt")
_KEPT = 2
"""Checkpoints: the newest, and the one before it, should that be damaged."""
_FULL_BYTES = 2**20  # less than this is no space for weights


def unfinished(folder: Path) -> Path:
    """Where a checkpoint of a run's `checkpoints` is written until it is whole."""
    return folder / f"{TEMPORARY}checkpoint"


def keep(made: Path, target: Path) -> None:
    """Put a completely written checkpoint in its place, with the digests of its files; older ones but one are removed.

    What has the name of a checkpoint is on the disk with all its files.
    """
    write_json_atomic(made / _DIGESTS, sealed({"files": digests_of(made)}))
    replace_folder(made, target)
    shutil.rmtree(made.parent, ignore_errors=True)
    for _, path in _newest_first(target.parent)[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def last_checkpoint(folder: RunFolder, history: History) -> str | None:
    """The newest whole checkpoint by its step, or None; the history is cut back to it.

    A damaged one is named in a warning, passed over and removed.
    """
    shutil.rmtree(unfinished(folder.checkpoints), ignore_errors=True)  # of a process that was killed
    passed_over = False
    for step, path in _newest_first(folder.checkpoints):
        fault = _fault_of(path)
        if fault is None:
            history.truncate_after(step)
            return str(path)
        passed_over = True
        warnings.warn(f"a checkpoint is damaged and passed over: {fault}", stacklevel=2)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if passed_over:
        warnings.warn("no whole checkpoint is left, so the run starts from its beginning", stacklevel=2)
    history.truncate_after(0)
    return None


def _newest_first(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints in a folder with their steps; never by a clock, which may be set back."""
    names = ((path.name.removeprefix("checkpoint-"), path) for path in folder.glob("checkpoint-*"))
    return sorted(((int(step), path) for step, path in names if step.isdecimal()), reverse=True)


def _fault_of(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, with the path of the file; None if it is whole."""
    try:
        digests = read_json(checkpoint / _DIGESTS, "checkpoint's list of files")
    except RunError as error:
        return f"{error.where}: {error.problem}"
    except (FileNotFoundError, NotADirectoryError):
        return _fault_without_digests(checkpoint)
    files = digests.get("files")
    if not isinstance(files, dict) or not files:
        return f"{checkpoint / _DIGESTS} names no files"
    return next(iter(altered(checkpoint, files)), None)


def _fault_without_digests(checkpoint: Path) -> str | None:
    """The same of an older version's checkpoint: whether all files are there and each can be read."""
    if not list(checkpoint.glob("rng_state*.pth")):
        return f"{checkpoint / 'rng_state.pth'} is gone"
    for path in (*(checkpoint / name for name in _NEEDED), *sorted(checkpoint.glob("*"))):
        try:
            if path.suffix == ".json":
                if not isinstance(json.loads(path.read_bytes()), dict):
                    return f"{path} is no JSON object"
            elif path.suffix in (".pt", ".pth"):
                with zipfile.ZipFile(path) as archive:  # has a checksum of each part
                    if archive.testzip() is not None:
                        return f"{path} is damaged"
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="pt"):
                    pass
        except FileNotFoundError:
            return f"{path} is gone"
        except (OSError, ValueError, RecursionError, zipfile.BadZipFile, SafetensorError) as error:
            return f"{path} cannot be read: {error}"
    return None


@contextmanager
def whole_or_gone(target: Path) -> Iterator[None]:
    """Remove a folder of weights whose writing failed or was interrupted: it must neither fill the disk nor pass for a
    whole one.

    Raises:
        RunError: the disk is full or refuses; each library that writes weights says this in another way.
    """
    try:
        with explained(target):
            yield
    except BaseException as error:
        full = isinstance(error, (RuntimeError, SafetensorError)) and _is_full(target.parent)
        with uninterrupted():  # a signal, too, may have ended the writing, and another may follow
            shutil.rmtree(target, ignore_errors=True)
        if full:
            raise RunError(
                "there is no space left for the weights",
                where=str(target),
                found=str(error).splitlines()[0],
                fix="free some space and continue with --resume",
            ) from error
        raise


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < _FULL_BYTES
