"""Flat files: JSON and JSONL records, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spantune.data.readers.column_mapping import match_columns, record_rows
from spantune.data.readers.raw_row import RawRow
from spantune.data.readers.squad_json import is_nested, nested_rows, not_squad
from spantune.data.readers.text_files import parse_json, read_text
from spantune.data.source import FILE_ENDINGS
from spantune.errors import DataError, did_you_mean

Records = list[tuple[str, Mapping[str, Any]]]
_NOT_A_NUMBER = ("NaN", "nan")
_FIXES = {".tsv": "write it with commas, as .csv", ".gz": "unpack it first", ".zip": "unpack it first"}


def file_rows(path: Path, mapping: Mapping[str, str], require_answers: bool = True) -> Iterator[RawRow]:
    """The rows of a file, by its ending.

    Raises:
        DataError: the ending is unknown, or the file is not what its ending says.
    """
    ending = path.suffix.lower()
    readers = {".jsonl": jsonl_records, ".csv": csv_records, ".parquet": parquet_records}
    if ending == ".json":
        value = _json(path)
        if is_nested(value):
            return nested_rows(value, str(path))
        records = _flat_json(value, str(path))
    elif ending in readers:
        records = readers[ending](path)
    else:
        raise DataError(
            f"unknown file ending {ending!r}" if ending else "the file has no ending",
            where=str(path),
            expected=", ".join(FILE_ENDINGS),
            fix=_FIXES.get(ending) or (did_you_mean(ending, FILE_ENDINGS) if ending else "rename it to what it holds"),
        )
    present = list(dict.fromkeys(name for _, record in records for name in record))
    if not records:
        return iter(())
    parts = match_columns(present, mapping, str(path), require_answers)
    if ending == ".csv" and "answer_start" in parts:
        records = [(where, _with_number(record, parts["answer_start"])) for where, record in records]
    return record_rows(records, parts)


def _with_number(record: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    """A CSV knows only texts: whole numbers in the offset column are no defect there."""
    value = record.get(column)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return {**record, column: int(value)}
    return record


def _json(path: Path) -> Any:
    text = read_text(path)
    lines = [line for line in text.split("\n", 2) if line.strip()]
    if len(lines) > 1 and all(line.strip()[0] == "{" and line.strip()[-1] == "}" for line in lines[:2]):
        try:  # JSON lines under the name .json, as `Dataset.to_json` writes them
            return [record for _, record in _json_lines(text, path)]
        except DataError:
            pass
    return parse_json(text, str(path))


def _flat_json(value: Any, file: str) -> Records:
    if isinstance(value, Mapping) and isinstance(value.get("question"), str):
        value = [value]  # a single line of JSON lines
    records = value.get("data") if isinstance(value, Mapping) else value
    if not isinstance(records, list):
        raise not_squad(value, file)
    for position, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise not_squad(value, f"{file}: [{position}]")
    return [(f"[{position}]", record) for position, record in enumerate(records)]


def jsonl_records(path: Path) -> Records:
    """One object a line; blank lines are skipped. Only line feeds separate lines: a text may contain U+2028."""
    return _json_lines(read_text(path), path)


def _json_lines(text: str, path: Path) -> Records:
    records: Records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        record = parse_json(line, str(path), first_line=number)
        if not isinstance(record, Mapping):
            raise DataError(
                "a line is not an object",
                where=f"{path}, line {number}",
                expected='{"id": ..., "question": ..., "context": ..., "answers": ...}',
                found=repr(record)[:60],
                fix="a nested SQuAD file is named .json" if isinstance(record, list) else None,
            )
        records.append((f"line {number}", record))
    return records


def csv_records(path: Path) -> Records:
    """Comma-separated values with a header line; quoted cells keep their line ends.

    Empty cells and NaN are missing values.
    """
    csv.field_size_limit(2**31 - 1)  # the default refuses cells above 131,072 characters
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    records: Records = []
    try:
        header = [name.strip() for name in next(reader)]
        _check_header(header, path)
        first = reader.line_num + 1
        for cells in reader:
            where, first = f"line {first}", reader.line_num + 1
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(
                    "a row of the CSV has another number of cells than the header",
                    where=f"{path}, {where}",
                    expected=f"{len(header)} cells",
                    found=f"{len(cells)}",
                    fix="put texts that contain commas or line ends in double quotes",
                )
            records.append((where, {name: _cell(cell, cells) for name, cell in zip(header, cells, strict=True)}))
    except csv.Error as error:
        raise DataError(
            "the CSV cannot be read",
            where=f"{path}, line {reader.line_num}",
            expected="cells separated by commas; a double quote inside a quoted cell is doubled",
            found=str(error),
        ) from error
    return records


def _check_header(header: Sequence[str], path: Path) -> None:
    if len(header) == 1 and (mark := next((mark for mark in ";\t|" if mark in header[0]), None)):
        raise DataError(
            "the cells of the CSV are not separated by commas",
            where=f"{path}, line 1",
            expected="commas",
            found=f"{mark!r} in {header[0][:60]!r}",
            fix="write it with commas",
        )
    if twice := {name for name in header if header.count(name) > 1}:
        raise DataError("two columns have one name", where=f"{path}, line 1", found=", ".join(sorted(twice)))


def _cell(cell: str, row: Sequence[str]) -> object:
    if cell == "":
        return None
    if cell in _NOT_A_NUMBER:
        # What `to_csv(na_rep="NaN")` leaves; yet a text about NaN may be answered by it.
        return cell if any(cell in other and cell != other for other in row) else None
    return cell


def parquet_records(path: Path) -> Records:
    """The rows of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        found = str(error).split("\n")[0]
        raise DataError("the file is not Parquet", where=str(path), expected="a Parquet file", found=found) from error
    return [(f"row {number}", row) for number, row in enumerate(rows)]
