"""What a JSON text holds, by its shape and not by its file's name: rows, paragraphs or articles, and their places.

Known are lists of them under any name, one of them alone, one a line (pretty-printed, too), what pandas' `to_json`
writes in every orient that keeps the names of the columns, and `Dataset.to_dict()`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from spantune.data.readers.annotation_tools import is_task
from spantune.data.readers.column_mapping import Records
from spantune.data.readers.squad_json import is_nested, not_squad, within
from spantune.data.readers.text_files import NotJson, described, json_values, not_json, parse_json
from spantune.errors import DataError

_DEEPEST = 3
_NESTED = {"paragraphs": "an article", "qas": "a paragraph"}


def json_records(text: str, file: str, names: Collection[str]) -> Records:
    """The (place, object) pairs of a text: all are rows, or all articles, or all paragraphs.

    Args:
        names: keys by which an object is known to be a row.

    Raises:
        DataError: the text is not JSON, holds something else, or a mixture.
    """
    documents = _documents(text, file)
    if len(documents) == 1:
        records = _unwrapped(documents[0][1], "", file, names)
    else:
        records = []
        for line, value in documents:
            inner = value.get("data") if isinstance(value, dict) else value
            if isinstance(value, dict) and (not isinstance(inner, (list, dict)) or is_task(value)):
                place = f"line {line}"
                records += _of_columns(value, place, file, names) or [(place, value)]
            else:
                records += _unwrapped(value, f"line {line}", file, names)
        if records and records[0][1].keys() == {"header"}:
            del records[0]  # MRQA's files begin with what they are
    _refuse_mixtures(records, file, names)
    return records


def _documents(text: str, file: str) -> list[tuple[int, Any]]:
    """The JSON values of a text with their lines: one, or one a line, or one after another over several lines.

    Only line feeds separate lines: a text may contain U+2028.
    """
    if _begins_with_an_object_on_a_line(text):
        lines = enumerate(text.split("\n"), start=1)
        try:
            return [(at, parse_json(line.lstrip("\ufeff"), file, at)) for at, line in lines if line.strip()]
        except NotJson:
            try:
                return list(json_values(text, file))
            except NotJson:
                pass
            raise
    try:
        return [(1, json.loads(text))]
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return list(json_values(text, file))
        raise not_json(error, text, file) from error


def _begins_with_an_object_on_a_line(text: str) -> bool:
    line, _, others = text.lstrip().partition("\n")
    line = line.strip()
    if not others.strip():
        return False
    if not (line.startswith("{") and line.endswith("}")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _unwrapped(value: Any, place: str, file: str, names: Collection[str]) -> Records:
    """The objects of a value in which they may be listed, keyed, or cut into columns."""
    if isinstance(value, list):
        if value and all(_is_file(inner) for inner in value):  # as `jq -s` joins files
            places = [f"{place}[{position}]" for position in range(len(value))]
            pairs = zip(places, value, strict=True)
            return [record for at, inner in pairs for record in _unwrapped(inner, at, file, names)]
        return _listed(value, place, file)
    if isinstance(value, str) and not place and value.lstrip().startswith(("[", "{")):
        return json_records(value, file, names)  # `json.dump(frame.to_json())`: JSON as a text of JSON
    if not isinstance(value, dict):
        raise not_squad(value, _in(file, place))
    if is_nested(value) or is_task(value):
        return [(place, value)]
    if records := _of_columns(value, place, file, names):
        return records
    if names & value.keys():
        return [(place or "[0]", value)]
    if isinstance(value.get("data"), (list, dict)) and place.count("data") < _DEEPEST:
        return _unwrapped(value["data"], within(place, "data"), file, names)
    lists = [key for key, inner in value.items() if isinstance(inner, list) and _holds_rows(inner, names)]
    if len(lists) == 1:
        return _listed(value[lists[0]], within(place, lists[0]), file)
    raise not_squad(value, _in(file, place), lists)


def _is_file(value: Any) -> bool:
    """Whether a value is what a file may be as a whole: a list of objects, or an object with `data` alone."""
    if isinstance(value, dict):
        return value.keys() <= {"version", "data"} and isinstance(value.get("data"), list)
    return isinstance(value, list) and bool(value) and all(isinstance(inner, dict) for inner in value)


def _listed(values: list[Any], place: str, file: str) -> Records:
    if values and all(isinstance(value, list) for value in values):
        raise DataError(
            "the JSON has rows without the names of their columns",
            where=_in(file, place),
            expected="objects with the names question, context, answers",
            found=described(values),
            fix="write the names, too: DataFrame.to_json(FILE, orient='records')",
        )
    for position, value in enumerate(values):
        if not isinstance(value, dict):
            raise not_squad(values, f"{file}: {place}[{position}]")
    if values and all(isinstance(value.get("row"), dict) and "row_idx" in value for value in values):
        return [(f"{place}[{at}]", value["row"]) for at, value in enumerate(values)]  # the hub's rows API
    return [(f"{place}[{position}]", value) for position, value in enumerate(values)]


def _holds_rows(values: list[Any], names: Collection[str]) -> bool:
    first = values[0] if values else None
    return isinstance(first, dict) and (is_nested(first) or is_task(first) or bool({"row", *names} & first.keys()))


def _of_columns(value: dict[str, Any], place: str, file: str, names: Collection[str]) -> Records:
    """The rows of a value that is a table: pandas' orients split, columns and index, and `Dataset.to_dict()`.

    Labels of the rows that are texts are their ids.
    """
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        labels = value.get("index")
        labels = labels if isinstance(labels, list) and len(labels) == len(data) else range(len(data))
        _refuse_lengths({f"data[{at}]": row for at, row in enumerate(data)}, len(columns), place, file)
        return _labelled(
            labels, (dict(zip(map(str, columns), row, strict=True)) for row in data), within(place, "data")
        )
    inner = list(value.values())
    if len(inner) > 1 and all(isinstance(column, list) for column in inner):
        plain = sum(bool(column) and isinstance(column[0], str) for column in inner)
        if names & value.keys() or plain > 1:
            _refuse_lengths(value, len(inner[0]), place, file)
            rows = (dict(zip(value, row, strict=True)) for row in zip(*inner, strict=True))
            return _labelled(range(len(inner[0])), rows, place)
    elif inner and "data" not in value and all(isinstance(column, dict) for column in inner):
        return _of_objects(value, place, names)
    return []


def _of_objects(value: dict[str, dict[str, Any]], place: str, names: Collection[str]) -> Records:
    first = next(iter(value.values()))
    numbered = all(label.isdecimal() for label in first)
    if names & value.keys() or (numbered and first and not names & first.keys() and len(value) > 1):
        labels = dict.fromkeys(label for column in value.values() for label in column)
        rows = ({name: column.get(label) for name, column in value.items()} for label in labels)
        return _labelled(labels, rows, place)
    if len(value) == 1 and names & first.keys() and (records := _of_columns(first, place, "", names)):
        return records  # a `DatasetDict` of one split
    if names & first.keys() or all(label.isdecimal() for label in value):
        return _labelled(value, value.values(), place)
    return []


def _labelled(labels: Iterable[Any], rows: Iterable[dict[str, Any]], place: str) -> Records:
    records = [(label, row) for label, row in zip(labels, rows, strict=True)]
    named = any(isinstance(label, str) and not label.isdecimal() for label, _ in records)
    if named and not any("id" in row for _, row in records):
        records = [(label, {"id": label, **row}) for label, row in records]
    return [(f"{place}[{at}]", row) for at, (_, row) in enumerate(records)]


def _refuse_lengths(columns: Mapping[str, list[Any]], length: int, place: str, file: str) -> None:
    for name, column in columns.items():
        if len(column) != length:
            raise DataError(
                "the columns of the JSON are of different lengths",
                where=f"{file}: {within(place, name)}",
                expected=f"{length} values",
                found=f"{len(column)}",
            )


def _refuse_mixtures(records: Records, file: str, names: Collection[str]) -> None:
    """Raises a DataError if articles, paragraphs and rows are in one list."""
    if not any(is_nested(record) for _, record in records):
        return
    kinds = [next((key for key in _NESTED if key in record), "") for _, record in records]
    if len(set(kinds)) < 2:
        return
    first = next(kind for kind in kinds if kind)
    if not kinds[0] and names & records[0][1].keys():
        first = ""
    for kind, (place, record) in zip(kinds, records, strict=True):
        if kind != first and (kind or names & record.keys()):
            raise DataError(
                "the JSON mixes shapes",
                where=f"{file}: {place}",
                expected=f"{_NESTED.get(first, 'a row')}, as before it",
                found=f"{_NESTED.get(kind, 'a row')} with the keys {sorted(record)[:12]}",
                fix="write them into files of their own, and give both: --data ONE TWO",
            )


def _in(file: str, place: str) -> str:
    return f"{file}: {place}" if place else file
