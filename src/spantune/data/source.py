"""The grammar of a data source: `SOURCE`, `SOURCE#SPLIT`, `SOURCE*WEIGHT`, `SOURCE#SPLIT*WEIGHT`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spantune.errors import DataError

SAMPLES = {"sample": "v1.1", "sample-v2": "v2.0"}
FILE_ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
VALIDATION_NAMES = ("validation", "valid", "val", "dev")

_GRAMMAR = re.compile(r"(?P<address>[^#*]+)(?:#(?P<split>[^#*]+))?(?:\*(?P<weight>[^#*]*))?")
# What only a path looks like; `owner/name` and `name` may be on the hub.
_PATH = re.compile(
    r"^[.~/]|\\|/$|/.*/|^[A-Za-z]:|\.(json|jsonl|ndjson|csv|tsv|txt|parquet|xlsx?|ods|arrow|gz|bz2|xz|zst|7z|zip|ya?ml)$"
)


class NoSource(DataError):
    """A file or folder that is named as a source does not exist."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where examples come from, which split is meant, and how often each counts."""

    address: str
    split: str | None = None
    weight: float = 1.0

    @property
    def path(self) -> Path:
        return Path(self.address).expanduser()

    @property
    def kind(self) -> Literal["sample", "file", "folder", "hub"]:
        """How it is read. A path-like address that does not exist is a `NoSource`."""
        if self.address in SAMPLES:
            return "sample"
        try:
            if self.path.is_dir():
                return "folder"
            if self.path.exists():
                return "file"
        except OSError as error:
            raise DataError("a data source cannot be looked at", where=self.address, found=str(error)) from error
        if _PATH.search(self.address) or self._stands_beside_files():
            raise NoSource(
                "missing file or folder",
                where=self.address,
                expected="an existing file (JSON, JSONL, CSV, Parquet) or a save_to_disk folder",
                found=_what_is_there(self.path),
                fix="correct the path; `sample` is built in and needs no file",
            )
        return "hub"

    def _stands_beside_files(self) -> bool:
        return "/" in self.address and self.path.parent.is_dir()


def parse_source(text: str) -> Source:
    """Read one entry of `--data` or `--eval-data`.

    Raises:
        DataError: the entry is empty, or its weight is not a number above 0.
    """
    text = text.strip()
    if text and _exists(text):  # a file may have '*' or '#' in its name
        return Source(text)
    match = _GRAMMAR.fullmatch(text)
    if not match:
        raise DataError(
            "a data source cannot be read",
            where=repr(text),
            expected="SOURCE, SOURCE#SPLIT, SOURCE*WEIGHT or SOURCE#SPLIT*WEIGHT",
        )
    weight = 1.0 if match["weight"] is None else _weight(match["weight"], text)
    return Source(match["address"].strip(), match["split"], weight)


def reached(text: str, folders: Iterable[Path]) -> str:
    """A source with a relative path as it is reached from here.

    It stays as it is where it exists in the working folder, else it is that of the first of `folders` in which it
    exists. A name without a folder or an ending may be the hub's and is not looked for anywhere; nor is a source with a
    weight, whose choice of examples goes with its name.
    """
    source = parse_source(text)
    local = _PATH.search(source.address) or "/" in source.address
    if not local or source.weight != 1 or _exists(source.address) or source.path.is_absolute():
        return text
    for folder in folders:
        if _exists(str(folder / source.address)):
            return text.strip().replace(source.address, str(folder / source.address), 1)
    return text


def _weight(written: str, text: str) -> float:
    try:
        weight = float(written)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= 1000:
        raise DataError(
            "the weight of a data source is not valid",
            where=text,
            expected="a number above 0 after the '*' (at most 1000): 0.5 takes half, 2 counts each example twice",
            found=repr(written),
        )
    return weight


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except OSError:
        return False


def _what_is_there(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"no folder {str(folder)!r} either"
    names = sorted(name for name in os.listdir(folder) if name.removesuffix(".gz").endswith(FILE_ENDINGS))
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"in {str(folder)!r}: {listed or 'no data files'}"
