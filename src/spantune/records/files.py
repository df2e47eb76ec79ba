"""Writing whole files or none, and saying clearly what the file system refuses."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spantune.errors import RunError

TEMPORARY = ".spantune-"
"""How the names of unfinished files begin; one that is left over belongs to a killed process."""
_FIXES = {
    errno.ENOSPC: "free some space, or choose another --output",
    errno.EDQUOT: "free some space, or choose another --output",
    errno.EROFS: "choose an --output that can be written",
    errno.EACCES: "choose an --output that you may write to",
    errno.EPERM: "choose an --output that you may write to",
    errno.ENOTDIR: "choose an --output whose path holds no file",
    errno.EEXIST: "choose an --output whose path holds no file",
}


@contextmanager
def explained(where: Path) -> Iterator[None]:
    """Turn what the file system refuses into one clear RunError."""
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


def write_text_atomic(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all, also when the machine stops: temporary file, fsync, rename.

    Raises:
        RunError: the folder is missing, full or cannot be written. What stood at `path` is still there.
    """
    temporary = None
    with explained(path):
        try:
            handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with suppress(OSError):  # mkstemp's 0600 would lock colleagues out; some file systems know no modes
                os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            if temporary is not None:
                with suppress(OSError):
                    os.unlink(temporary)
            raise


def write_json_atomic(path: Path, content: Any) -> None:
    """Write JSON as `write_text_atomic` does; numbers that JSON lacks (NaN, infinities) become null."""
    write_text_atomic(path, json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """The same JSON content with NaN and infinities as None; tuples become lists, paths text."""
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _umask() -> int:
    mask = os.umask(0o022)  # the only way to read it is to set it
    os.umask(mask)
    return mask
