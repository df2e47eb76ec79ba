"""A file's rows, whatever kind of file it is: JSON in any shape, CSV, Parquet."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from spantune.data.readers.annotation_tools import tool_records
from spantune.data.readers.column_mapping import Records, known_names, match_columns, record_rows
from spantune.data.readers.csv_files import csv_records, with_numbers
from spantune.data.readers.json_shapes import json_records
from spantune.data.readers.raw_row import RawRow
from spantune.data.readers.squad_json import is_nested, question_rows
from spantune.data.readers.text_files import read_bytes, read_text
from spantune.data.source import FILE_ENDINGS
from spantune.errors import DataError, did_you_mean

_JSON = (".json", ".jsonl", ".ndjson")
_BEGINS_JSON = re.compile(r'[\[{][\[{\s]*("|$)')
_SAMPLED = 50  # records that are looked at for advice
_CSV = (".csv", ".tsv")
_UNPACK = "unpack it first"
_AS_CSV = "save it as CSV (UTF-8)"
_FIXES = {
    ".zip": f"{_UNPACK}: python -m zipfile -e FILE FOLDER",
    **dict.fromkeys((".bz2", ".xz", ".zst", ".7z", ".tar", ".tgz"), _UNPACK),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _AS_CSV),
    ".txt": "rename it to what it holds",
}


def file_rows(path: Path, mapping: Mapping[str, str], require_answers: bool = True) -> Iterator[RawRow]:
    """The rows of a file, by its ending; one of gzip beside it may be there or not.

    Raises:
        DataError: the ending is unknown, or the file is not what its ending says.
    """
    file, ending = str(path), Path(path.name.lower().removesuffix(".gz")).suffix
    if ending in (*_JSON, *_CSV):
        text, names = read_text(path), known_names(mapping)
        ending = _kind(text, ending, names)
        records = json_records(text, file, names) if ending in _JSON else csv_records(text, file, names)
        if ending in _JSON and records and is_nested(records[0][1]):
            return question_rows(records, file)
    elif ending == ".parquet":
        records = parquet_records(path)
    else:
        raise DataError(
            f"unknown file ending {ending!r}" if ending else "the file has no ending",
            where=file,
            expected=f"{', '.join(FILE_ENDINGS)}, each also with .gz",
            fix=_FIXES.get(ending) or (did_you_mean(ending, FILE_ENDINGS) if ending else "rename it to what it holds"),
        )
    if not records:
        return iter(())
    records, present, inferred = tool_records(records, mapping)
    inferred = {part: column for part, column in inferred.items() if column in present}
    sample = [record for _, record in records[:_SAMPLED]]
    parts = match_columns(present, mapping, file, require_answers, inferred, sample)
    if ending in _CSV and "answer_start" in parts:
        records = with_numbers(records, parts["answer_start"])
    return record_rows(records, parts)


def _kind(text: str, ending: str, names: Collection[str]) -> str:
    """The ending that a text should have: JSON begins with a bracket, a CSV with two of its columns' names."""
    line = text.lstrip().split("\n", 1)[0]
    if ending in _CSV:
        return ".json" if _BEGINS_JSON.match(line) else ending
    if line.startswith(("{", "[")):
        return ending
    cells = [cell.strip(' "\r') for cell in re.split(r"[,;|\t]", line)]
    return ".csv" if sum(cell in names for cell in cells) > 1 else ending


def parquet_records(path: Path) -> Records:
    """The rows of a Parquet file, without the columns that hold what Python cannot (dates after the year 9999)."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(read_bytes(path)))
    except (pyarrow.ArrowException, OSError) as error:
        found = str(error).split("\n")[0]
        raise DataError("the file is not Parquet", where=str(path), expected="a Parquet file", found=found) from error
    columns = {}
    for name in dict.fromkeys(table.column_names):
        with suppress(ValueError, OverflowError, KeyError, pyarrow.ArrowException):
            columns[name] = table[name].to_pylist()
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return [(f"row {number}", row) for number, row in enumerate(rows)]
