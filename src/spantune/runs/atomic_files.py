"""Write files completely or not at all, and explain errors of the file system."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from spantune.errors import RunError

TEMPORARY = ".spantune-"
"""Prefix of unfinished files; a killed process may leave one."""
_FIXES = {
    errno.ENOSPC: "free some space, or choose another --output",
    errno.EDQUOT: "free some space, or choose another --output",
    errno.EROFS: "choose an --output that can be written",
    errno.EACCES: "choose an --output that you may write to",
    errno.EPERM: "choose an --output that you may write to",
    errno.ENOTDIR: "choose an --output whose path holds no file",
    errno.EISDIR: "choose an --output that is no folder",
    errno.EEXIST: "choose an --output whose path holds no file",
}


@contextmanager
def explained(where: Path) -> Iterator[None]:
    """Turn an error of the file system into a RunError that explains it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise RunError(
            "there is no space left for the output" if full else "the output cannot be written",
            where=str(error.filename or where),
            found=error.strerror or str(error),
            fix=_FIXES.get(error.errno or 0, "choose another --output"),
        ) from error


def listing(folder: Path) -> str:
    """What is in a folder, for a message; unfinished files do not count."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(name for name in os.listdir(folder) if not name.startswith(TEMPORARY))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more or "an empty folder"


def replace_folder(made: Path, target: Path) -> None:
    """Put a completely written folder in the place of an older one; a crash leaves one of the two whole."""
    aside = target.with_name(f"{TEMPORARY}old-{target.name}")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        os.replace(target, aside)
    os.replace(made, target)
    shutil.rmtree(aside, ignore_errors=True)


def refuse_foreign(folder: Path, what: str, mark: str, known: Callable[[Path], bool]) -> None:
    """RunError if a folder holds things and none of them is known; the folder may be missing.

    Args:
        what: the folder is for, such as "run". mark: the file that shows it.
    """
    with explained(folder):
        paths = sorted(folder.iterdir()) if folder.exists() else []
    if any(not path.name.startswith(TEMPORARY) for path in paths) and not any(map(known, paths)):
        raise RunError(
            f"the output folder is not empty and holds no {what}",
            where=str(folder),
            expected=f"an empty or new folder, or one with {mark}",
            found=listing(folder),
            fix="choose another --output",
        )


def require_writable(path: Path) -> None:
    """Make the folder of a file that is to be written later; RunError if that will not be possible."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        probe(path.parent)


def probe(folder: Path) -> None:
    """Raise OSError if no file can be written: better now than after an hour of training."""
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=folder) as file:
        os.write(file.fileno(), b"\0" * 4096)


@contextmanager
def atomic_file(path: Path) -> Iterator[Callable[[str], None]]:
    """Write a UTF-8 file whole or not at all, also when the machine stops: temporary file, fsync, rename.

    Yields the function that writes; the file is there once the block has ended without an error.

    Raises:
        RunError: the folder is missing, full or cannot be written. An older file at `path` is still there.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}")
    with explained(path):
        file = temporary.open("x", encoding="utf-8", newline="\n")

    def write(text: str) -> None:
        with explained(path):
            file.write(text)

    try:
        yield write
        with explained(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text as `atomic_file` does."""
    with atomic_file(path) as write:
        write(text)


def write_json_atomic(path: Path, content: Any) -> None:
    """Write JSON as `atomic_file` does; numbers that JSON does not have (NaN, infinities) become null."""
    write_text_atomic(path, json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def atomic_json_object(path: Path) -> Iterator[Callable[[str, str], None]]:
    """Write a JSON object that is too long for memory entry by entry, laid out as by `write_json_atomic`.

    Yields the function that takes an entry: its key, and its value as JSON text.
    """
    with atomic_file(path) as write:
        before = "{\n"

        def put(key: str, value: str) -> None:
            nonlocal before
            write(f"{before}  {json.dumps(key, ensure_ascii=False)}: {value}")
            before = ",\n"

        yield put
        write("{}\n" if before == "{\n" else "\n}\n")


def finite(value: Any) -> Any:
    """The same JSON content with NaN and infinities as None; tuples become lists, paths text."""
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
