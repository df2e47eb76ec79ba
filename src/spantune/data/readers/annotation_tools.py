"""Exports of annotation tools as records: Label Studio's JSON, JSON-MIN and CSV, Doccano's and Prodigy's JSON lines.

Their answers are spans (see `answer_forms`), their context is called `text`, and their question is a column of its own.
What annotators cancelled or rejected is no answer: a record keeps what the others gave, counted; without others its
answers are unreadable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spantune.data.readers.answer_forms import are_spans
from spantune.data.readers.cell_text import looks_structured, parse_cell
from spantune.data.readers.column_mapping import DEFAULTS, Records, ToolRecord
from spantune.data.readers.raw_row import Unreadable, is_missing

_ANNOTATIONS = ("annotations", "completions")
# Columns of spans by preference; Prodigy's `tokens` look like spans, too.
_SPAN_COLUMNS = ("label", "labels", "entities", "spans", "annotations")
_NO_SPAN_COLUMNS = frozenset(("tokens", "relations"))
_ANSWER_COLUMNS = (*DEFAULTS["answers"], *DEFAULTS["answer"])
_VERDICTS = frozenset(("accept", "reject", "ignore"))
_LABELS = ("labels", "label", "hypertextlabels")


def is_task(value: Mapping[str, Any]) -> bool:
    """Whether an object is a task of Label Studio with its annotations."""
    return isinstance(value.get("data"), Mapping) and any(name in value for name in (*_ANNOTATIONS, "predictions"))


def tool_records(records: Records, mapping: Mapping[str, str]) -> tuple[Records, list[str], dict[str, str]]:
    """The records with their spans as answers, the names of their columns, and which of them hold which part.

    Records of no tool come back as they are, and nothing is said of their columns.
    """
    inferred: dict[str, str] = {}
    if any(is_task(record) for _, record in records):
        inferred = {"context": "text"}
        records = [(where, _from_task(record) if is_task(record) else record) for where, record in records]
    present = _names(records)
    column = _span_column(records, present, mapping)
    if column is None:
        return records, present, inferred
    answer_labels = _answer_labels(spans for _, record in records for spans in _parsed_spans(record.get(column)))
    records = [(where, _with_spans(record, column, answer_labels)) for where, record in records]
    return records, _names(records), {"context": "text", "answers": column}


def _names(records: Records) -> list[str]:
    return list(dict.fromkeys(name for _, record in records for name in record))


def _span_column(records: Records, present: Sequence[str], mapping: Mapping[str, str]) -> str | None:
    """The column whose first value is a list of spans."""
    named = [mapping[part] for part in ("answers", "answer") if mapping.get(part) in present]
    named += [name for name in _ANSWER_COLUMNS if name in present]
    if named and not ("spans" in present and _verdict(records[0][1])):
        candidates = named
    else:
        candidates = [*_SPAN_COLUMNS, *(name for name in present if name not in _NO_SPAN_COLUMNS)]
    for name in candidates:
        if name in present:
            first = next((value for _, record in records if not _is_empty(value := record.get(name))), None)
            if any(True for _ in _parsed_spans(first)):
                return name
    return None


def _is_empty(value: object) -> bool:
    return is_missing(value) or (isinstance(value, (str, list, tuple, Unreadable)) and value in ("", [], (), "[]"))


def _parsed_spans(value: object) -> Iterator[Any]:
    """The spans of a value; none if it is something else."""
    if isinstance(value, str) and looks_structured(value):
        try:
            value = parse_cell(value)
        except ValueError:
            return
    if are_spans(value):
        yield from [value] if isinstance(value, Mapping) else value  # type: ignore[misc]


def _labels_of(span: object) -> set[str]:
    if isinstance(span, Mapping):
        labels = next((span[name] for name in _LABELS if span.get(name)), ())
    else:
        labels = span[2:] if isinstance(span, (list, tuple)) else ()
    labels = [labels] if isinstance(labels, str) else labels
    return {label for label in labels if isinstance(label, str)} if isinstance(labels, (list, tuple)) else set()


def _answer_labels(spans: Iterable[object]) -> frozenset[str]:
    """The labels that say "answer" if others do not; none if all spans are answers."""
    labels = {label for span in spans for label in _labels_of(span)}
    telling = {label for label in labels if "answer" in label.casefold()}
    return frozenset(telling) if telling != labels else frozenset()


def _with_spans(record: Mapping[str, Any], column: str, answer_labels: frozenset[str]) -> ToolRecord:
    meta = record.get("meta")
    made = ToolRecord({**meta, **record} if isinstance(meta, Mapping) else record)
    made.left_out = record.left_out if isinstance(record, ToolRecord) else ()
    made.one_annotation = made.one_annotation or "annotation_id" in record
    spans = list(_parsed_spans(record.get(column)))
    if spans:
        kept = [span for span in spans if not answer_labels or _labels_of(span) & answer_labels]
        made[column] = kept
        made.left_out += ("spans with other labels left out",) * (len(spans) - len(kept))
    if column == "spans" and (verdict := _verdict(record)):
        del made["answer"]
        if verdict != "accept":
            made[column] = Unreadable(f"the annotator's verdict is {verdict!r}")
    return made


def _verdict(record: Mapping[str, Any]) -> str | None:
    """Prodigy's word on a whole example."""
    answer = record.get("answer")
    return answer if isinstance(answer, str) and answer in _VERDICTS and "spans" in record else None


def _from_task(task: Mapping[str, Any]) -> ToolRecord:
    """A task of Label Studio as a record: its data, the marked answers, and what else was entered or chosen."""
    record = ToolRecord({"id": task.get("id"), **task["data"]})
    annotations = [entry for name in _ANNOTATIONS for entry in _objects(task.get(name))]
    counted = [entry for entry in annotations if not (entry.get("was_cancelled") or entry.get("skipped"))]
    record.left_out = ("cancelled annotations left out",) * (len(annotations) - len(counted))
    spans: list[object] = []
    entered: dict[str, list[object]] = {}
    for entry in counted:
        for result in _objects(entry.get("result")):
            value = result.get("value")
            if not isinstance(value, Mapping):
                continue
            if "start" in value:
                offsets = value.get("globalOffsets")
                spans.append({**value, **offsets} if isinstance(offsets, Mapping) else value)
            elif isinstance(texts := value.get("text", value.get("choices")), list):
                entered.setdefault(str(result.get("from_name")), []).extend(texts)
    for name, texts in entered.items():
        different = [text for at, text in enumerate(texts) if text not in texts[:at]]
        record.setdefault(name, different[0] if len(different) == 1 else different)
    if spans:
        record["answers"] = spans
    elif annotations and not counted:
        record["answers"] = Unreadable(f"annotators cancelled all {len(annotations)} annotations of the task")
    elif counted and not any(name in record for name in _ANSWER_COLUMNS):
        record["answers"] = []
    return record


def _objects(values: object) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []
