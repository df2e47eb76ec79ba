"""SHA-256 of files that answers and scores depend on: written down when they are saved, checked when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from spantune.errors import RunError

DIGEST = "digest"
"""The key of a JSON file that holds the digest of its other keys."""


def sha256_of(path: Path) -> str:
    """The digest of a file, which is read once in a process as long as its size and time stay. OSError if it cannot."""
    about = path.stat()
    return _sha256(path.resolve(), about.st_size, about.st_mtime_ns, about.st_ino)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, changed: int, number: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests_of(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """The digest of each file in a folder by its name; `names` that are not there are left out."""
    wanted = (path.relative_to(folder).as_posix() for path in folder.rglob("*")) if names is None else names
    return {name: sha256_of(folder / name) for name in sorted(wanted) if (folder / name).is_file()}


def altered(folder: Path, digests: Mapping[str, str]) -> tuple[str, ...]:
    """The files that are gone, cannot be read or are not as they were written, each in words with its path."""
    lines = []
    for name, digest in digests.items():
        path = folder / name
        try:
            if sha256_of(path) != digest:
                lines.append(f"{path} is not as it was written")
        except (FileNotFoundError, NotADirectoryError):
            lines.append(f"{path} is gone")
        except OSError as error:
            lines.append(f"{path} cannot be read: {error.strerror}")
    return tuple(lines)


def refuse_altered(folder: Path, digests: Mapping[str, str], what: str, fix: str) -> None:
    """RunError where a file is not as it was written; it names the first, and says how many more there are.

    Args:
        what: the files hold, for the message: "saved model". fix: what brings them back.
    """
    if lines := altered(folder, digests):
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        first = next(name for name in digests if f"{folder / name} " in lines[0])
        raise RunError(
            f"the {what} is damaged",
            where=str(folder / first),
            expected=f"the file with the SHA-256 {digests[first][:16]}…",
            found=lines[0].removeprefix(f"{folder / first} ") + more,
            fix=fix,
        )


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON content with its own digest."""
    return {**content, DIGEST: _of_content(content)}


def is_sealed(content: Mapping[str, Any]) -> bool | None:
    """Whether JSON content is what was sealed; None where it has no digest, as older files have none."""
    return content[DIGEST] == _of_content(content) if DIGEST in content else None


def _of_content(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
