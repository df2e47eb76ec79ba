"""JSON in every shape that people have is read as the same examples, whatever the file's name."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spantune.data import Answer, Example, load_corpus
from spantune.errors import DataError

ROWS: list[dict[str, Any]] = [
    {
        "id": "a1",
        "question": "When was the mill built?",
        "context": "Ada built the mill in 1841.\nIt burnt in 1841 – again.",
        "answers": {"text": ["1841", "in 1841"], "answer_start": [22, 19]},
    },
    {
        "id": "a2",
        "question": "Who built it?",
        "context": "Ada built the mill in 1841.\nIt burnt in 1841 – again.",
        "answers": {"text": ["Ada"], "answer_start": [0]},
    },
    {
        "id": "b1",
        "question": "Who sold it?",
        "context": "Nobody sold the inn.",
        "answers": {"text": [], "answer_start": []},
    },
]
WANTED = [
    (
        row["id"],
        row["question"],
        row["context"],
        tuple(map(Answer, row["answers"]["text"], row["answers"]["answer_start"])),
    )
    for row in ROWS
]


def question(row: dict[str, Any]) -> dict[str, Any]:
    texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
    answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    return {"id": row["id"], "question": row["question"], "answers": answers, "is_impossible": not answers}


PARAGRAPHS = [
    {"context": ROWS[0]["context"], "qas": [question(ROWS[0]), question(ROWS[1])]},
    {"context": ROWS[2]["context"], "qas": [question(ROWS[2])]},
]
ARTICLES = [{"title": "t", "paragraphs": [one]} for one in PARAGRAPHS]
LINES = {"rows": ROWS, "paragraphs": PARAGRAPHS, "articles": ARTICLES}


def read(path: Path, content: str | bytes, **options: Any) -> list[tuple[Any, ...]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    corpus = load_corpus(str(path), **options)
    assert not corpus.defects
    return [(one.id, one.question, one.context, one.answers) for one in corpus.examples]


def columns() -> dict[str, list[Any]]:
    return {name: [row[name] for row in ROWS] for name in ROWS[0]}


SHAPES: dict[str, Any] = {
    "nested": {"version": "1.1", "data": ARTICLES},
    "articles": ARTICLES,
    "paragraphs": PARAGRAPHS,
    "paragraphs in data": {"data": PARAGRAPHS},
    "article": {"title": "t", "paragraphs": PARAGRAPHS},
    "article in data": {"data": {"title": "t", "paragraphs": PARAGRAPHS}},
    "rows": ROWS,
    "rows in data": {"data": ROWS},
    "rows under another name": {"version": 1, "questions": ROWS},
    "nested under another name": {"version": 1, "training": ARTICLES},
    "rows of the hub's API": {"features": [], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]},
    "to_dict": columns(),
    "to_dict in data": {"data": columns()},
    "by id": {row["id"]: {key: row[key] for key in row if key != "id"} for row in ROWS},
    "by number": {str(number): row for number, row in enumerate(ROWS)},
}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.JSON", "a.json.gz"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape: str, indent: int | None, name: str, tmp_path: Path) -> None:
    text = json.dumps(SHAPES[shape], indent=indent, ensure_ascii=False)
    content = gzip.compress(text.encode()) if name.endswith("gz") else text
    assert read(tmp_path / name, content) == WANTED


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n", "\n\ufeff", ",\n", "\n\x1e"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("kind", LINES)
def test_one_object_after_another(kind: str, indent: int | None, between: str, name: str, tmp_path: Path) -> None:
    texts = [json.dumps(one, indent=indent, ensure_ascii=False) for one in LINES[kind]]
    assert read(tmp_path / name, "\ufeff" + between.join(texts) + "\n") == WANTED


def test_one_file_after_another(tmp_path: Path) -> None:
    texts = [json.dumps({"version": "v2.0", "data": [article]}) for article in ARTICLES]
    assert read(tmp_path / "a.json", "\n".join(texts)) == WANTED
    assert read(tmp_path / "b.json", "\n".join(json.dumps([row]) for row in ROWS)) == WANTED


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
@pytest.mark.parametrize("index", [None, "id"])
@pytest.mark.parametrize("mapped", [False, True])
def test_what_pandas_writes(orient: Any, index: str | None, mapped: bool, tmp_path: Path) -> None:
    frame = pandas.DataFrame(ROWS)
    if mapped:
        frame = frame.rename(columns={"question": "frage", "context": "text", "answers": "antworten"})
    frame = frame.set_index(index) if index and orient != "records" else frame  # records have no index
    names = ("question=frage", "context=text", "answers=antworten") if mapped else ()
    assert read(tmp_path / "a.json", frame.to_json(orient=orient), columns=names) == WANTED


def test_what_pandas_writes_without_names_and_the_advice(tmp_path: Path) -> None:
    frame = pandas.DataFrame(ROWS)
    with pytest.raises(DataError, match="without the names of their columns") as raised:
        read(tmp_path / "a.json", frame.to_json(orient="values"))
    assert "orient='records'" in str(raised.value.fix)
    frame.to_json(tmp_path / "b.json", orient="records")
    assert [one.id for one in load_corpus(str(tmp_path / "b.json")).examples] == ["a1", "a2", "b1"]


@pytest.mark.parametrize("flat", [False, True])
def test_what_datasets_writes(flat: bool, tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_list(ROWS)
    dataset = dataset.flatten() if flat else dataset
    assert read(tmp_path / "a.json", json.dumps(dataset.to_dict())) == WANTED
    for name, write in (
        ("b.json", dataset.to_json),
        ("c.csv", dataset.to_csv),
        ("d.parquet", dataset.to_parquet),
    ):
        write(str(tmp_path / name))
        assert read(tmp_path / name, (tmp_path / name).read_bytes()) == WANTED
        assert read(tmp_path / f"{name}.gz", gzip.compress((tmp_path / name).read_bytes())) == WANTED
    dataset.to_json(str(tmp_path / "e.json"), lines=False, orient="columns")
    assert read(tmp_path / "e.json", (tmp_path / "e.json").read_bytes()) == WANTED


def test_a_single_row_of_any_name(tmp_path: Path) -> None:
    row = {"frage": "Wer?", "text": "Es war Ada.", "antwort": "Ada"}
    names = ("question=frage", "context=text", "answer=antwort")
    for name in ("a.json", "a.jsonl"):
        assert read(tmp_path / name, json.dumps(row), columns=names)[0][1:] == (
            "Wer?",
            "Es war Ada.",
            (Answer("Ada", 7),),
        )
        with pytest.raises(DataError, match="looks like predictions"):
            read(tmp_path / name, json.dumps(row))


def test_mrqa(tmp_path: Path) -> None:
    asked = {
        "qid": "q",
        "question": "When?",
        "answers": ["1841"],
        "detected_answers": [{"text": "1841", "char_spans": [[6, 9], [15, 18]]}],
    }
    header = {"header": {"dataset": "D", "split": "train"}}
    text = json.dumps(header) + "\n" + json.dumps({"context": "It is 1841, is 1841.", "qas": [asked]})
    assert read(tmp_path / "a.jsonl.gz", gzip.compress(text.encode())) == [
        ("q", "When?", "It is 1841, is 1841.", (Answer("1841", 6), Answer("1841", 15)))
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([ARTICLES[0], ROWS[0]], r"mixes shapes\n.*\[1\]\n.*an article, as before it\n.*a row with"),
        ([ROWS[0], ARTICLES[0]], r"mixes shapes\n.*\[1\]\n.*a row, as before it\n.*an article with"),
        ([PARAGRAPHS[0], ARTICLES[0]], r"mixes shapes\n.*\[1\]\n.*a paragraph, as before it\n.*an article with"),
        ({"data": [ROWS[0], 1]}, r"not SQuAD\n.*data\[1\]"),
        ({"train": ROWS, "dev": ROWS}, "'train' and 'dev' into files of their own"),
        ({"question": ["a", "b"], "context": ["c"]}, r"of different lengths\n.*a.json: context"),
        ({"columns": ["a", "b"], "data": [["c"]]}, r"of different lengths\n.*data\[0\]"),
        ({"q1": [{"text": "a"}], "q2": [{"text": "b"}]}, "not SQuAD"),
    ],
)
def test_what_is_no_data(value: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.json", json.dumps(value))


def test_places_in_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps(ARTICLES[0]), json.dumps({"paragraphs": [{"context": "a"}]})]
    with pytest.raises(DataError, match=r"line 2: paragraphs\[0\]\n.*the key 'qas'"):
        read(tmp_path / "a.jsonl", "\n".join(lines))
    pretty = "\n".join(json.dumps(one, indent=1) for one in ROWS)
    with pytest.raises(DataError, match=rf"ends too early\n.*line {pretty[:-40].count(chr(10)) + 1},"):
        read(tmp_path / "a.jsonl", pretty[:-40])


KEYS = [
    *("id", "question", "context", "answers", "answer", "answer_start", "is_impossible", "title", "data", "paragraphs"),
    *("qas", "text", "start", "end", "annotations", "result", "value", "labels", "label", "entities", "meta", "spans"),
    *("columns", "index", "schema", "row", "row_idx", "header", "detected_answers", "char_spans", "was_cancelled"),
    *("answers.text", "answers.answer_start"),
]
names = st.sampled_from(KEYS)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.floats()
    | st.sampled_from(["", "a", "Ada", "[1", "['Ada']", "{'text': ['Ada']}", "[true]", "1.0", "accept", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=2), inner, max_size=6),
    max_leaves=30,
)


@given(value=values, lines=st.booleans(), asked=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
def test_any_json_gives_rows_or_a_clear_error(value: Any, lines: bool, asked: bool, tmp_path: Path) -> None:
    listed = lines and isinstance(value, list)
    text = "\n".join(json.dumps(one) for one in value) if listed else json.dumps(value)
    path = tmp_path / "a.json"
    path.write_text(text or "{}", encoding="utf-8")
    try:
        corpus = load_corpus(str(path), repair=True, require_answers=asked)
    except DataError as error:
        assert str(error)
    else:
        for example in corpus.examples:
            for answer in example.answers:
                assert example.context[answer.start : answer.end] == answer.text


@pytest.mark.parametrize("opened", ["[", '{"data":', '{"a":', '[{"question":', '{"question": "a", "context":'])
@pytest.mark.parametrize("depth", [3, 60, 400, 900, 990, 100_000])
def test_deep_json(opened: str, depth: int, tmp_path: Path) -> None:
    closed = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opened) if sign in "[{")
    text = opened * depth + '"b"' + closed * depth
    for content in (
        text,
        json.dumps(ROWS[0]) + "\n" + text,
        f'[{{"question": {text}, "context": "a", "answers": {text}}}]',
    ):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(DataError):
            load_corpus(str(tmp_path / "a.json"))


def test_a_question_of_a_wrong_type_is_a_defect_and_no_crash(tmp_path: Path) -> None:
    make: Callable[[int], Any] = lambda depth: [] if depth == 0 else [make(depth - 1)]  # noqa: E731
    row = {"question": make(300), "context": "a", "answers": make(300), "is_impossible": make(300)}
    (tmp_path / "a.json").write_text(json.dumps([ROWS[1], row]))
    corpus = load_corpus(str(tmp_path / "a.json"), repair=True)
    assert [one.id for one in corpus.examples] == ["a2"] and corpus.counts["examples dropped"] == 1
    assert isinstance(corpus.examples[0], Example)


def test_json_as_a_text_of_json(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", json.dumps(json.dumps(ROWS))) == WANTED
    assert read(tmp_path / "b.json", json.dumps(pandas.DataFrame(ROWS).to_json())) == WANTED
    with pytest.raises(DataError):
        read(tmp_path / "c.json", json.dumps(json.dumps('"[')))


def test_pythons_text_in_place_of_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"write it with json\.dump"):
        read(tmp_path / "a.json", str(ROWS))


def test_a_column_of_objects_is_not_offered_for_a_text(tmp_path: Path) -> None:
    paragraph = {"context": "It was Ada.", "questions": [{"question": "Who?", "answers": ["Ada"]}]}
    with pytest.raises(DataError, match=r"no column for the question(.|\n)*add a column 'question'"):
        read(tmp_path / "a.json", json.dumps([paragraph, paragraph]))
