"""Columns of windows as numpy arrays that share Arrow's memory: no Python object per window or token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow

Columns = Mapping[str, Any]
"""Columns by name: an array, or `Lists` if a row holds several numbers."""


@dataclass(frozen=True)
class Lists:
    """Lists of numbers of any length in one array: list `i` is `values[begins[i]:ends[i]]`.

    Attributes:
        values: the numbers of all lists. begins, ends: (N,) where each list begins and ends.
    """

    values: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, lists: Lists | Sequence[Sequence[int] | np.ndarray]) -> Lists:
        """Python lists or arrays as `Lists`; `Lists` are returned as they are."""
        if isinstance(lists, Lists):
            return lists
        edges = np.cumsum([0, *map(len, lists)])
        if len(lists) and isinstance(lists[0], np.ndarray):
            values = np.concatenate(lists)
        else:
            values = np.fromiter(chain.from_iterable(lists), np.int32, edges[-1])  # type: ignore[arg-type]
        return cls(values, edges[:-1], edges[1:])

    def __len__(self) -> int:
        return len(self.begins)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.values[begin:end] for begin, end in zip(self.begins, self.ends, strict=True))

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.begins[row] : self.ends[row]]

    @property
    def lengths(self) -> np.ndarray:
        """(N,) length of each list."""
        return self.ends - self.begins

    def take(self, rows: Any) -> Lists:
        """Some of the lists, without copying their values."""
        return Lists(self.values, self.begins[rows], self.ends[rows])

    def padded(self, length: int, filler: int) -> np.ndarray:
        """(N, `length`), each list padded on the right with `filler`."""
        out = np.full((len(self), length), filler, dtype=np.int64)
        for row, numbers in zip(out, self, strict=True):
            row[: len(numbers)] = numbers
        return out


def list_lengths(column: Lists | Sequence[Sequence[int]]) -> np.ndarray:
    """(N,) length of each list of a column."""
    return column.lengths if isinstance(column, Lists) else np.fromiter(map(len, column), np.int64, len(column))


def as_columns(rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns of Python numbers and lists as arrays; at least one row."""
    return {
        name: Lists.of(column) if hasattr(column[0], "__len__") else np.array(column) for name, column in rows.items()
    }


def arrow_columns(table: pyarrow.Table) -> dict[str, Any]:
    """The columns of an Arrow table of numbers and lists of numbers as arrays."""
    return {name: _as_array(table[name].combine_chunks()) for name in table.column_names}


def take(columns: Columns, rows: np.ndarray) -> dict[str, Any]:
    """Some rows of all columns, in this order."""
    return {name: column.take(rows) if isinstance(column, Lists) else column[rows] for name, column in columns.items()}


def _as_array(column: pyarrow.Array) -> np.ndarray | Lists:
    import pyarrow

    if not pyarrow.types.is_list(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    edges = column.offsets.to_numpy()
    return Lists(column.values.to_numpy(), edges[:-1], edges[1:])
