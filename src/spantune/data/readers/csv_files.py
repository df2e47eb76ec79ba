"""CSV files: cells separated by commas, semicolons, tabs or bars, under a line of names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from spantune.data.readers.column_mapping import Records
from spantune.errors import DataError

_NOT_A_NUMBER = ("NaN", "nan")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_WHOLE = re.compile(r"\s*(-?[0-9]{1,18})(?:\.0+)?\s*")  # pandas writes 12.0 in a column with gaps
_SAID = re.compile(r"sep=(.)\r?\n")


def csv_records(text: str, file: str, names: Collection[str]) -> Records:
    """Records of a text with a header line; quoted cells keep their line ends.

    Empty cells and NaN are missing values.

    Args:
        names: columns that are looked for; the separator is the one that gives most of them.
    """
    csv.field_size_limit(2**31 - 1)  # the default refuses cells above 131,072 characters
    declared = _SAID.match(text)  # Excel declares it in a line of its own
    separator = declared[1] if declared else _separator(text, file, names)
    source = io.StringIO(text, newline="")
    source.seek(declared.end() if declared else 0)
    reader = csv.reader(source, delimiter=separator, strict=True)
    above = 1 if declared else 0
    records: Records = []
    try:
        header = _header(reader, file)
        first = reader.line_num + 1
        for cells in reader:
            where, first = f"line {first + above}", reader.line_num + 1
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(
                    "a row of the CSV has another number of cells than the header",
                    where=f"{file}, {where}",
                    expected=f"{len(header)} cells",
                    found=f"{len(cells)}",
                    fix=f"put texts that contain {_SEPARATORS.get(separator, 'the separator')} or line ends in "
                    "double quotes",
                )
            records.append((where, {name: _cell(cell, cells) for name, cell in zip(header, cells, strict=True)}))
    except csv.Error as error:
        raise DataError(
            "the CSV cannot be read",
            where=f"{file}, line {reader.line_num + above}",
            expected=f"cells separated by {_SEPARATORS.get(separator, repr(separator))}; "
            "a double quote inside a quoted cell is doubled",
            found=str(error),
        ) from error
    return records


def _separator(text: str, file: str, names: Collection[str]) -> str:
    """The separator that gives most of the names that are looked for, or else most names."""
    line = text.lstrip("\r\n").split("\n", 1)[0]
    tabs = file.lower().removesuffix(".gz").endswith(".tsv")

    def gives(mark: str) -> tuple[int, int, bool]:
        cells = [cell.strip(' "\r\ufeff') for cell in line.split(mark)]
        return sum(cell in names for cell in cells), len(cells), tabs and mark == "\t"

    return max(_SEPARATORS, key=gives)


def _header(reader: Iterator[list[str]], file: str) -> list[str]:
    names = next((cells for cells in reader if cells), [])
    header = [name.strip().strip("\ufeff").strip() for name in names]
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise DataError(
            "two columns have one name",
            where=f"{file}, line 1",
            found=", ".join(sorted(twice)),
            fix="give each column a name of its own",
        )
    return header


def with_numbers(records: Records, column: str) -> Records:
    """A CSV knows only texts: whole numbers in the offset column are no defect there."""
    return [(where, _with_number(record, column)) for where, record in records]


def _with_number(record: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    value = record.get(column)
    if isinstance(value, str) and (match := _WHOLE.fullmatch(value)):
        return {**record, column: int(match[1])}
    return record


def _cell(cell: str, row: Sequence[str]) -> object:
    if cell == "":
        return None
    if cell in _NOT_A_NUMBER:
        # What `to_csv(na_rep="NaN")` leaves; yet a text about NaN may be answered by it.
        return cell if any(cell in other and cell != other for other in row) else None
    return cell
