"""Sets of the `datasets` library: `save_to_disk` folders and the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantune.data import hub
from spantune.data.readers.column_mapping import match_columns, record_rows
from spantune.data.readers.raw_row import RawRow
from spantune.data.source import SAMPLES, VALIDATION_NAMES, Source
from spantune.errors import DataError, did_you_mean, nearest

if TYPE_CHECKING:
    from datasets import Dataset

_READ_AT_ONCE = 1000


class NoSplit(DataError):
    """The source is there but has no such split."""


def folder_rows(
    source: Source, split: str, mapping: Mapping[str, str], require_answers: bool = True
) -> Iterator[RawRow]:
    """The rows of a `save_to_disk` folder: of the split if it is a DatasetDict, else all.

    Raises:
        NoSplit: a DatasetDict without the split.
        DataError: `save_to_disk` did not write the folder.
    """
    return _rows(_from_disk(source, split), mapping, source.address, require_answers)


def folder_splits(path: Path) -> tuple[str, ...]:
    """Names of the splits of a DatasetDict folder; none for a plain Dataset. No library is imported."""
    import json

    try:
        return tuple(json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def pick_split(wanted: str, present: Sequence[str], where: str) -> str:
    """The present split that is meant; `validation` is also found as `valid`, `val` or `dev`.

    Raises:
        NoSplit: there is none.
    """
    for name in VALIDATION_NAMES if wanted == "validation" else (wanted,):
        if name in present:
            return name
    raise NoSplit(
        f"the data has no split {wanted!r}",
        where=where,
        found=f"the splits {', '.join(present)}",
        fix=f"name one: {where}#{nearest(wanted, present) or present[0]}",
    )


def _from_disk(source: Source, split: str) -> Dataset:
    path = source.path
    splits = folder_splits(path)
    if not splits and not (path / "dataset_info.json").is_file():
        names = sorted(os.listdir(path))
        raise DataError(
            "the folder is no dataset",
            where=str(path),
            expected="a folder that `datasets` wrote with save_to_disk (it has a dataset_info.json), or a file",
            found=", ".join(names[:8]) + (" …" if len(names) > 8 else "") or "an empty folder",
            fix="name a file in it" if names else None,
        )
    import datasets

    folder = path / pick_split(split, splits, source.address) if splits else path
    if not splits and source.split:
        raise NoSplit("the folder holds one Dataset and no splits", where=source.address, fix=f"leave out '#{split}'")
    try:
        return datasets.Dataset.load_from_disk(str(folder))
    except IndexError as error:  # it was saved without a row, and so without a file
        raise DataError(
            "the data holds no questions", where=str(folder), expected="at least one question", found="none"
        ) from error
    except Exception as error:  # arrow, OS and key errors alike: the folder is damaged
        raise DataError("the dataset folder cannot be loaded", where=str(folder), found=_first_line(error)) from error


def hub_rows(source: Source, split: str, mapping: Mapping[str, str], require_answers: bool = True) -> Iterator[RawRow]:
    """The rows of a split of a hub set (`squad`, `owner/name`, `owner/name:configuration`).

    Raises:
        NoSplit: the set has no such split.
        DataError: the hub cannot be reached or has no such set, or the set does not have the columns.
    """
    return _rows(_from_hub(source, split), mapping, source.address, require_answers)


def _from_hub(source: Source, split: str) -> Dataset:
    import datasets

    name, _, configuration = source.address.partition(":")
    wanted = VALIDATION_NAMES[0] if split == "validation" else split
    try:
        with hub.offline_where_there_is_no_network(datasets.config):
            return datasets.load_dataset(name, configuration or None, split=wanted)
    except ValueError as error:
        if "Unknown split" in str(error):
            raise NoSplit(
                f"the data has no split {wanted!r}",
                where=source.address,
                found=_first_line(error),
                fix=f"name one: {source.address}#SPLIT",
            ) from error
        raise _hub_error(source, error) from error
    except Exception as error:  # the hub client raises dozens of types; each means: no data
        raise _hub_error(source, error) from error


def _hub_error(source: Source, error: Exception) -> DataError:
    absent = type(error).__name__ == "DatasetNotFoundError"
    built_in = nearest(source.address, SAMPLES)
    return DataError(
        "the Hugging Face hub has no such data set" if absent else "the data set cannot be loaded from the hub",
        where=source.address,
        expected="`sample`, `sample-v2`, an existing file or folder, or a reachable hub set",
        found=_why(error),
        fix=did_you_mean(source.address, SAMPLES) if built_in else "offline, use the built-in data: --data sample",
    )


def _why(error: Exception) -> str:
    from huggingface_hub.constants import ENDPOINT

    if isinstance(error, ConnectionError) and not hub.reachable(ENDPOINT):
        return f"no network ({ENDPOINT} cannot be reached), and no copy of it in the cache"
    return f"{type(error).__name__}: {_first_line(error)}"


def _rows(dataset: Dataset, mapping: Mapping[str, str], where: str, require_answers: bool) -> Iterator[RawRow]:
    parts = match_columns(dataset.column_names, mapping, where, require_answers)
    return record_rows(_records(dataset.select_columns(list(dict.fromkeys(parts.values())))), parts)


def _records(dataset: Dataset) -> Iterator[tuple[str, Mapping[str, Any]]]:
    number = 0
    for batch in dataset.with_format(None).iter(batch_size=_READ_AT_ONCE):
        for values in zip(*batch.values(), strict=True):
            yield f"row {number}", dict(zip(batch, values, strict=True))
            number += 1


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
