"""Write files completely or not at all, and explain errors of the file system."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from spantune.errors import RunError
from spantune.runs.interruption import uninterrupted

TEMPORARY = ".spantune-"
"""Prefix of unfinished files; a killed process may leave one."""
_FIXES = {
    errno.ENOSPC: "free some space, or choose another --output",
    errno.EDQUOT: "free some space, or choose another --output",
    errno.EROFS: "choose an --output that can be written",
    errno.EACCES: "choose an --output that you may write to",
    errno.EPERM: "choose an --output that you may write to",
    errno.ENOTDIR: "choose an --output whose path holds no file",
    errno.EEXIST: "choose an --output whose path holds no file",
}
_NOTHING, _FILE, _FOLDER, _STREAM = "nothing", "a file", "a folder", "an open stream of this process"
_KINDS = {
    stat.S_IFREG: _FILE,
    stat.S_IFDIR: _FOLDER,
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
}
_PLAIN = ("a FIFO", "a device", _STREAM)
"""What can be written to as it is, but not replaced. A block device, a whole disk, is none of them."""
_OWN_STREAMS = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd")
_MOST_LINKS = 40  # the system's own limit


@contextmanager
def explained(where: Path) -> Iterator[None]:
    """Turn an error of the file system into a RunError that explains it."""
    try:
        yield
    except BrokenPipeError:  # the reader of the output has left, which has an exit code of its own
        raise
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


def _kind_of(path: Path) -> str:
    """What a path leads to in the end, links followed."""
    if _own_stream(path) is not None:
        return _STREAM
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "neither a file nor a folder")
    except FileNotFoundError:
        return _NOTHING


def _own_stream(path: Path) -> int | None:
    """The number of the open stream that a path such as /dev/stdout or /dev/fd/3 names."""
    for _ in range(_MOST_LINKS):
        there = _OWN_STREAMS.fullmatch(os.path.realpath(path.parent))
        if there and int(there[1]) == os.getpid() and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _not_written(path: Path, expected: str, found: str) -> RunError:
    return RunError(
        "the output cannot be written",
        where=str(path),
        expected=expected,
        found=f"a folder ({os.strerror(errno.EISDIR)})" if found == _FOLDER else found,
        fix=f"choose an --output that is no {found.partition(' ')[2]}",
    )


def is_stdout(path: Path) -> bool:
    """Whether what is written to a path goes where this process prints."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # a ValueError: standard output is closed, or no file
        return False


def file_at(path: Path) -> Path:
    """Where the file at a path is or will be, links followed; RunError if something else is in its place."""
    with explained(path):
        kind = _kind_of(path)
        if kind not in (_FILE, _NOTHING):
            raise _not_written(path, "a file, or a path where there is none", kind)
        return Path(os.path.realpath(path))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, links followed; RunError if something else is in its place."""
    with explained(folder):
        kind = _kind_of(folder)
        if kind not in (_FOLDER, _NOTHING):
            raise _not_written(folder, "a folder, or a path where there is none", kind)
        Path(os.path.realpath(folder)).mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Write a folder whole or not at all.

    Yields the new folder, which does not exist yet. It replaces the one at `target` (of a link, the folder that the
    link leads to) when the block has ended without an error, and is removed otherwise.
    """
    with explained(target):
        kind = _kind_of(target)
        if kind not in (_FOLDER, _NOTHING):
            raise _not_written(target, "a folder, or a path where there is none", kind)
        target = Path(os.path.realpath(target))
    made = target.with_name(f"{TEMPORARY}{target.name}")
    shutil.rmtree(made, ignore_errors=True)  # of a process that was killed
    try:
        yield made
        replace_folder(made, target)
    except BaseException:
        with uninterrupted():
            shutil.rmtree(made, ignore_errors=True)
        raise


def replace_folder(made: Path, target: Path) -> None:
    """Put a completely written folder in the place of an older one; a crash leaves one of the two whole.

    All of it is on the disk before this returns, also after a power cut.
    """
    for path in (*made.rglob("*"), made):
        sync(path)
    aside = target.with_name(f"{TEMPORARY}old-{target.name}")
    with uninterrupted():
        shutil.rmtree(aside, ignore_errors=True)
        if target.exists():
            os.replace(target, aside)
        os.replace(made, target)
        sync(target.parent)
        shutil.rmtree(aside, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, if the system can tell."""
    with suppress(OSError):  # a folder cannot be opened everywhere
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


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
    """Make the folder of an output that `atomic_file` will write, as a stream if need be; RunError if it cannot."""
    with explained(path):
        kind = _kind_of(path)
        if kind == _STREAM:
            return
        if kind in _PLAIN:
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return
        if kind not in (_FILE, _NOTHING):
            raise _not_written(path, "a file, a FIFO or a character device", kind)
        target = file_at(path)
        make_folder(target.parent)
        probe(target.parent)


def probe(folder: Path) -> None:
    """Raise OSError if no file can be written: better now than after an hour of training."""
    with uninterrupted(), tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=folder) as file:
        os.write(file.fileno(), b"\0" * 4096)


@contextmanager
def _replacement(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file that takes the place of the one at `path` when the block has ended without an error."""
    target = file_at(path)
    temporary = target.with_name(f"{TEMPORARY}{uuid4().hex}")
    file: IO[bytes] | None = None
    try:
        with uninterrupted(), explained(path):
            file = temporary.open("xb")
        yield file
        with uninterrupted(), explained(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(temporary, target)
            sync(target.parent)
    except BaseException:
        with uninterrupted():
            if file is not None:
                with suppress(OSError):
                    file.close()
            with suppress(OSError):
                temporary.unlink()
        raise


@contextmanager
def atomic_file(path: Path, *, streams: bool = False) -> Iterator[Callable[[str], None]]:
    """Write a UTF-8 file whole or not at all, also when the machine stops: temporary file, fsync, rename.

    Yields the function that writes; the file is there once the block has ended without an error. A link stays, and
    the file that it leads to is written.

    Args:
        streams: the user named the path, so a FIFO, a character device or /dev/stdout may be meant: it is written to
            as it is. A file that is to be read again cannot be one.

    Raises:
        RunError: the folder is missing, full or cannot be written, or `path` leads to something that is not written
            (a folder, a socket, a whole disk). An older file at `path` is still there.
        BrokenPipeError: the reader of a stream has left.
    """
    if streams:
        with explained(path):
            streams = _kind_of(path) in _PLAIN
    if streams:
        with _plain_stream(path) as write:
            yield write
        return
    with _replacement(path) as file:

        def write(text: str) -> None:
            with explained(path):
                file.write(text.encode())

        yield write


@contextmanager
def _plain_stream(path: Path) -> Iterator[Callable[[str], None]]:
    """Write to a FIFO, a device or an open stream; a FIFO waits for its reader."""
    number = _own_stream(path)
    with explained(path):
        if number is None:  # never made: a FIFO that has gone in the meantime does not become a file
            opened = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
        else:
            sys.stdout.flush()
            opened = os.dup(number)  # its place in a file is shared, so that what is printed later follows
    with os.fdopen(opened, "w", encoding="utf-8", newline="\n") as file:

        def write(text: str) -> None:
            with explained(path):
                file.write(text)

        yield write
        with explained(path):
            file.flush()


def write_text_atomic(path: Path, text: str, *, streams: bool = False) -> None:
    """Write a text as `atomic_file` does."""
    with atomic_file(path, streams=streams) as write:
        write(text)


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write bytes as `atomic_file` does a text."""
    with _replacement(path) as file, explained(path):
        file.write(content)


def write_json_atomic(path: Path, content: Any) -> None:
    """Write JSON as `atomic_file` does; numbers that JSON does not have (NaN, infinities) become null."""
    write_text_atomic(path, json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def atomic_json_object(path: Path, *, streams: bool = False) -> Iterator[Callable[[str, str], None]]:
    """Write a JSON object that is too long for memory entry by entry, laid out as by `write_json_atomic`.

    Yields the function that takes an entry: its key, and its value as JSON text.
    """
    with atomic_file(path, streams=streams) as write:
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
