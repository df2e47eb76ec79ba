"""Exports of annotation tools are read as the same examples as the data given as plain rows."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from spantune.data import Answer, load_corpus
from spantune.data.readers.flat_files import file_rows
from spantune.data.readers.raw_row import RawRow, Unreadable
from spantune.errors import DataError

CONTEXT = "Ada built it and Ada sold it."
SOLD = [("1", "Who sold it?", CONTEXT, (Answer("Ada", 17),))]
SPAN = {"start": 17, "end": 20, "text": "Ada", "labels": ["Answer"]}


def read(path: Path, value: Any, **options: Any) -> list[tuple[Any, ...]]:
    write(path, value)
    corpus = load_corpus(str(path), **options)
    assert not corpus.defects
    return [(one.id, one.question, one.context, one.answers) for one in corpus.examples]


def write(path: Path, value: Any) -> None:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(value[0]))
            writer.writeheader()
            writer.writerows(value)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, value)), encoding="utf-8")
    else:
        path.write_text(json.dumps(value), encoding="utf-8")


def raw_rows(path: Path, value: Any) -> list[RawRow]:
    write(path, value)
    return list(file_rows(path, {}))


def task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    shown = {"text": CONTEXT, "question": "Who sold it?", **data}
    return {"id": 1, "data": shown, "annotations": list(annotations), "predictions": [], "meta": {}}


def marked(*spans: dict[str, Any], **more: Any) -> dict[str, Any]:
    results = [
        {"id": "x", "from_name": "answer", "to_name": "text", "type": "labels", "value": span, "origin": "manual"}
        for span in spans
    ]
    return {"id": 7, "completed_by": 1, "was_cancelled": False, "result": results, **more}


@pytest.mark.parametrize(
    "value",
    [
        [task(marked(SPAN))],
        task(marked(SPAN)),
        [task(marked(SPAN), marked(was_cancelled=True))],
        [task(marked(SPAN), marked({**SPAN, "start": 0, "end": 3}, was_cancelled=True))],
        [task(marked({"start": 17, "end": 20, "labels": ["Answer"]}))],
        [task(marked(SPAN, {"start": 4, "end": 9, "text": "built", "labels": ["Verb"]}))],
        [task(marked({**SPAN, "start": "/p[1]/text()[1]", "globalOffsets": {"start": 17, "end": 20}}))],
        [{"id": 1, "data": task()["data"], "completions": [marked(SPAN)]}],
        [task(marked(SPAN), context=CONTEXT, text="something else")],
        [
            {
                "id": 1,
                "data": {"text": CONTEXT},
                "annotations": [
                    {
                        "result": [
                            {"from_name": "question", "type": "textarea", "value": {"text": ["Who sold it?"]}},
                            {"from_name": "label", "type": "labels", "value": SPAN},
                        ]
                    }
                ],
            }
        ],
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_label_studio(value: Any, name: str, tmp_path: Path) -> None:
    if name == "a.jsonl":
        value = value if isinstance(value, list) else [value]
    assert read(tmp_path / name, value) == SOLD


def test_label_studio_with_other_names(tmp_path: Path) -> None:
    value = [{"id": 1, "data": {"doc": CONTEXT, "frage": "Who sold it?"}, "annotations": [marked(SPAN)]}]
    assert read(tmp_path / "a.json", value, columns=("question=frage", "context=doc")) == SOLD
    with pytest.raises(DataError, match="no column for the question"):
        read(tmp_path / "a.json", value)


def test_what_annotators_left_out_is_said(tmp_path: Path) -> None:
    first = {"start": 0, "end": 3, "text": "Ada", "labels": ["Answer"]}
    other = {"start": 4, "end": 9, "text": "built", "labels": ["Verb"]}
    rows = [
        task(marked(first), marked(SPAN, other), marked(was_cancelled=True)),
        task(marked(was_cancelled=True), marked(was_cancelled=True)),
        task(marked()),
        task(),
    ]
    several, cancelled, empty, undone = raw_rows(tmp_path / "a.json", rows)
    assert several.answers == [("Ada", 0), ("Ada", 17)]
    assert several.left_out == ("cancelled annotations left out", "spans with other labels left out")
    assert isinstance(cancelled.answers, Unreadable) and "cancelled all 2 annotations" in cancelled.answers.detail
    assert empty.answers == [] and undone.answers is None


@pytest.mark.parametrize("column", ["answer", "label", "labels", "answers", "entities", "spans", "marks"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_json_min(column: str, name: str, tmp_path: Path) -> None:
    record = {"id": 1, "text": CONTEXT, "question": "Who sold it?", column: [SPAN], "annotator": 1, "annotation_id": 7}
    value = [{**record, column: json.dumps([SPAN])}] if name == "a.csv" else [record]
    assert read(tmp_path / name, value) == SOLD
    assert read(tmp_path / name, value, columns=("context=text",)) == SOLD
    assert [row.one_answer for row in raw_rows(tmp_path / name, value)] == [True]


def test_a_column_of_spans_that_is_empty_first(tmp_path: Path) -> None:
    rows = [{"id": n, "text": CONTEXT, "question": "Who?", "label": [SPAN] if n else []} for n in range(2)]
    assert [row[3] for row in read(tmp_path / "a.json", rows)] == [(), (Answer("Ada", 17),)]


@pytest.mark.parametrize(
    "more",
    [
        {"label": [[17, 20, "Answer"]]},
        {"labels": [[17, 20, "ANSWER"]], "Comments": []},
        {"labels": [[17, 20, "Answer"], [4, 9, "Verb"]]},
        {"entities": [{"id": 0, "label": "Answer", "start_offset": 17, "end_offset": 20}], "relations": []},
        {"annotations": [{"label": 2, "start_offset": 17, "end_offset": 20, "user": 1}], "annotation_approver": None},
        {
            "spans": [{"start": 17, "end": 20, "label": "ANSWER"}],
            "answer": "accept",
            "tokens": [{"text": "Ada", "start": 0, "end": 3, "id": 0}],
        },
    ],
)
@pytest.mark.parametrize("meta", [False, True])
def test_doccano_and_prodigy(more: dict[str, Any], meta: bool, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"question": "Who sold it?"}
    value = [{"id": 1, "text": CONTEXT, **({"meta": asked} if meta else asked), **more}]
    assert read(tmp_path / "a.jsonl", value) == SOLD


@pytest.mark.parametrize("verdict", ["reject", "ignore"])
def test_what_prodigys_annotator_rejected_is_no_answer(verdict: str, tmp_path: Path) -> None:
    record = {"id": 1, "text": CONTEXT, "question": "Who?", "spans": [{"start": 17, "end": 20}], "answer": verdict}
    with pytest.raises(DataError, match=f"answers-unreadable(.|\n)*verdict is '{verdict}'"):
        read(tmp_path / "a.jsonl", [record, {**record, "id": 2, "answer": "accept"}])


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([[17, 99, "Answer"]], "a span that is not in the context"),
        ([[20, 17, "Answer"]], "a span that is not in the context"),
        ([{"start": -3, "end": 4}], "a span that is not in the context"),
        ([{"start": None, "end": 4}], "a span that is not in the context"),
        ([SPAN, {"begin": 3}], "expected a list of"),
        ([SPAN, "Ada"], "expected a list of"),
        ([{**SPAN, "start": 3}], "answer-offset"),
    ],
)
def test_spans_that_are_wrong(spans: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.json", [{"id": 1, "context": CONTEXT, "question": "Who?", "answers": spans}])


def test_spans_in_nested_squad(tmp_path: Path) -> None:
    asked = {"id": "1", "question": "Who sold it?", "answers": [{"start": 17, "end": 20}]}
    assert read(tmp_path / "a.json", [{"context": CONTEXT, "qas": [asked]}]) == SOLD
    asked = {"id": "1", "question": "Who sold it?", "answer": {"start": 17, "text": "Ada"}}
    assert read(tmp_path / "a.json", [{"context": CONTEXT, "qas": [asked]}]) == SOLD


def test_haystacks_csv(tmp_path: Path) -> None:
    row = {"question_id": "1", "question": "Who sold it?", "document_id": "9", "text": "Ada", "answer_start": 17}
    rows = [
        {**row, "is_impossible": False, "context": CONTEXT},
        {**row, "question_id": "2", "text": "", "answer_start": 0, "is_impossible": True, "context": CONTEXT},
    ]
    for name in ("a.csv", "a.json"):
        found = read(tmp_path / name, rows)
        assert found == [*SOLD, ("2", "Who sold it?", CONTEXT, ())]
        assert all(row.one_answer for row in raw_rows(tmp_path / name, rows))


def test_haystacks_json(tmp_path: Path) -> None:
    answer = {
        "answer_id": 3,
        "document_id": 9,
        "question_id": 1,
        "text": "Ada",
        "answer_start": 17,
        "answer_category": None,
    }
    asked = {"question": "Who sold it?", "id": 1, "answers": [answer], "is_impossible": False}
    value = {"data": [{"paragraphs": [{"qas": [asked], "context": CONTEXT, "document_id": 9}]}]}
    assert read(tmp_path / "a.json", value) == SOLD
    assert not any(row.one_answer for row in raw_rows(tmp_path / "a.json", value))


def test_cdqas_and_simpletransformers(tmp_path: Path) -> None:
    asked = {"id": "1", "question": "Who sold it?", "answers": [{"text": "Ada", "answer_start": 17}]}
    paragraph = {"context": CONTEXT, "qas": [asked]}
    assert read(tmp_path / "a.json", {"version": "v2.0", "data": [{"title": "t", "paragraphs": [paragraph]}]}) == SOLD
    assert read(tmp_path / "b.json", [{"context": CONTEXT, "qas": [{**asked, "is_impossible": False}]}]) == SOLD
    assert read(tmp_path / "c.jsonl", [paragraph]) == SOLD


@pytest.mark.parametrize(
    ("answers", "one"),
    [
        ({"answer": "Ada"}, True),
        ({"answer": "Ada", "answer_start": 0}, True),
        ({"answers": "Ada"}, True),
        ({"answer": ["Ada"]}, False),
        ({"answers": ["Ada"]}, False),
        ({"answers": {"text": ["Ada"], "answer_start": [0]}}, False),
        ({"answers": [{"text": "Ada", "answer_start": 0}]}, False),
        ({"answers": "['Ada']"}, False),
    ],
)
def test_one_answer_a_row(answers: dict[str, Any], one: bool, tmp_path: Path) -> None:
    (row,) = raw_rows(tmp_path / "a.json", [{"question": "Who?", "context": CONTEXT, **answers}])
    assert row.one_answer is one


def test_is_impossible_that_cannot_be_read(tmp_path: Path) -> None:
    (row,) = raw_rows(
        tmp_path / "a.json", [{"question": "Who?", "context": CONTEXT, "answer": None, "is_impossible": "maybe"}]
    )
    assert isinstance(row.impossible, Unreadable) and "'maybe'" in row.impossible.detail
