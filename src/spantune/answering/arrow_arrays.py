"""Columns of windows as arrays, read where they lie: no Python object a window, none a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow

Columns = Mapping[str, Any]
"""A column a name: an array, or `Lists` where a row holds several numbers."""


@dataclass(frozen=True)
class Lists:
    """Lists of numbers of any length, end to end: list `i` is `values[first[i]:behind[i]]`.

    Attributes:
        values: all numbers. first, behind: (N,) where each list begins and ends.
    """

    values: np.ndarray
    first: np.ndarray
    behind: np.ndarray

    @classmethod
    def of(cls, lists: Lists | Sequence[Sequence[int] | np.ndarray]) -> Lists:
        """Python's lists, or arrays; what is `Lists` already stays as it is."""
        if isinstance(lists, Lists):
            return lists
        edges = np.cumsum([0, *map(len, lists)])
        if len(lists) and isinstance(lists[0], np.ndarray):
            values = np.concatenate(lists)
        else:
            values = np.fromiter(chain.from_iterable(lists), np.int32, edges[-1])  # type: ignore[arg-type]
        return cls(values, edges[:-1], edges[1:])

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.values[first:behind] for first, behind in zip(self.first, self.behind, strict=True))

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.first[row] : self.behind[row]]

    @property
    def lengths(self) -> np.ndarray:
        """(N,) numbers in each list."""
        return self.behind - self.first

    def take(self, rows: Any) -> Lists:
        """Some of the lists; nothing is copied."""
        return Lists(self.values, self.first[rows], self.behind[rows])

    def padded(self, length: int, filler: int) -> np.ndarray:
        """(N, `length`), each list from the left and `filler` behind it."""
        out = np.full((len(self), length), filler, dtype=np.int64)
        for row, numbers in zip(out, self, strict=True):
            row[: len(numbers)] = numbers
        return out


def list_lengths(column: Lists | Sequence[Sequence[int]]) -> np.ndarray:
    """(N,) numbers in each list of a column."""
    return column.lengths if isinstance(column, Lists) else np.fromiter(map(len, column), np.int64, len(column))


class ArrowColumns(Mapping[str, Any]):
    """The columns of an Arrow table of numbers and lists of numbers, each as arrays from when it is first read."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table, self._read = table, dict[str, Any]()

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = _as_arrays(self._table[name].combine_chunks())
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return self._table.num_columns


def as_columns(rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Columns of Python's numbers and lists as arrays; at least one row."""
    return {name: Lists.of(one) if hasattr(one[0], "__len__") else np.array(one) for name, one in rows.items()}


@dataclass(frozen=True)
class Rows(Mapping[str, Any]):
    """Some rows of columns, in this order; taken out of a column when it is read."""

    columns: Columns
    rows: np.ndarray

    def __getitem__(self, name: str) -> Any:
        column = self.columns[name]
        return column.take(self.rows) if isinstance(column, Lists) else column[self.rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def _as_arrays(column: pyarrow.Array) -> np.ndarray | Lists:
    """An Arrow array; the numbers of lists are not copied."""
    import pyarrow

    if not pyarrow.types.is_list(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    edges = column.offsets.to_numpy()
    return Lists(column.values.to_numpy(), edges[:-1], edges[1:])
