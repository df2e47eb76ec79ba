"""Each bad input, with the words that its message must have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spantune.data import load_corpus
from spantune.errors import ConfigError, DataError

GOOD = {"id": "1", "question": "Who?", "context": "It was Ada.", "answers": {"text": ["Ada"], "answer_start": [7]}}


def refused(path: Path, content: str | bytes, **options: Any) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as raised:
        load_corpus(str(path), **options)
    assert path.name in str(raised.value), "the message names the file"
    return str(raised.value)


def nested(*questions: dict[str, Any], context: object = "It was Ada.") -> str:
    return json.dumps({"data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]})


def asked(start: object = 7, text: object = "Ada", **more: Any) -> dict[str, Any]:
    return {"id": "q1", "question": "Who?", "answers": [{"text": text, "answer_start": start}], **more}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "", "the file is empty"),
        ("a.csv", "\n \n", "the file is empty"),
        ("a.csv", "\ufeff", "the file is empty"),
        ("a.json", b"\x1f\x8b\x08\x00", "gzip file is damaged.*too early.*fetch or write it again"),
        ("a.json", b"PK\x03\x04 and more", "the file is packed.*zip.*unpack it first: python -m zipfile"),
        ("a.zip", b"PK\x03\x04 and more", "unknown file ending '.zip'.*unpack it first: python -m zipfile"),
        ("a.xlsx", b"PK\x03\x04 and more", "unknown file ending '.xlsx'.*save it as CSV"),
        ("a.json", '{"data": "x"}', "not SQuAD.*'data' holds a list"),
        ("a.csv", f"id,question,context,answer,answer_start\n1,q,It was Ada.,Ada,{'7' * 5000}\n", "not a whole number"),
        ("a.txt", "text", r"unknown file ending '.txt'.*\.json, \.jsonl, .*\.csv, .*\.parquet"),
        ("a.jsonx", "{}", r"did you mean '\.jsonl?'"),
        ("data", "text", "no ending"),
        ("a.json", '{"data": [{"title": "x", "para', "ends too early.*line 1, column 26.*cut off"),
        ("a.json", '{\n"data": [1,\n]}', r"not valid JSON.*line \d, column \d"),
        ("a.json", '{"version": 1, "date": []}', r"not SQuAD.*'data'.*'date', 'version'.*is 'date' meant"),
        ("a.json", '{"q1": "Ada", "q2": "Bob"}', "not SQuAD.*looks like predictions"),
        ("a.json", "[1, 2]", "not SQuAD.*found: +a list"),
        ("a.json", '"text"', "not SQuAD.*a text"),
        ("a.json", '{"data": []}', "holds no questions"),
        ("a.json", "[]", "holds no questions"),
        (
            "a.json",
            '{"data": [{"paragraphs": [{"contex": "a", "qas": []}]}]}',
            r"paragraphs\[0\].*'context'.*did you mean",
        ),
        ("a.json", '{"data": [{"paragraphs": [{"context": "a"}]}]}', r"data\[0\]\.paragraphs\[0\].*the key 'qas'"),
        ("a.json", '{"data": [{"paragraphs": {}}]}', "expected: a list"),
        ("a.json", '{"data": [{"paragraphs": [{"context": "a", "qas": ["x"]}]}]}', r"qas\[0\].*an object"),
        ("a.jsonl", json.dumps(GOOD) + "\n{]\n", "not valid JSON.*line 2, column 2"),
        ("a.jsonl", json.dumps(GOOD) + "\n" + json.dumps(GOOD)[:30], "ends too early.*line 2"),
        ("a.jsonl", json.dumps(GOOD) + "\n[1]\n", "line 2.*an object|not SQuAD.*line 2.*found: +a list"),
        ("a.csv", "id,question,context\n1,a,b,c\n", "line 2.*3 cells.*found: +4.*double quotes"),
        ("a.csv", "id,question,question\n1,a,b\n", "two columns have one name.*question"),
        ("a.csv", 'id,question\n1,"a"b"\n', "CSV cannot be read.*line 2"),
        ("a.csv", "id,question,context,answer\n", "holds no questions"),
        ("a.parquet", "no parquet at all", "not Parquet"),
        ("a.csv", "id,qestion,context,answer\n1,a,b,b\n", "no column for the question.*--columns question=qestion"),
        ("a.csv", "id,question,text,answer\n1,a,b,b\n", "no column for the context.*'text'.*--columns context="),
        ("a.csv", "id,question,context,anwser\n1,a,b,b\n", "no column for the answers.*did you mean 'anwser'"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, content: str, words: str, tmp_path: Path) -> None:
    message = refused(tmp_path / name, content)
    assert re.search(words, message, re.DOTALL), message


def test_a_mapping_to_no_column(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", "nr,frage,text\n1,a,b\n", columns=("question=fragen",))
    assert "--columns question=frage" in message and "'fragen'" in message


@pytest.mark.parametrize(
    ("entry", "words"),
    [("question", "cannot be read"), ("qestion=a", "did you mean 'question'"), ("question=", "cannot be read")],
)
def test_a_mapping_that_is_none(entry: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question\n")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_corpus(str(tmp_path / "a.csv"), columns=(entry,))


@pytest.mark.parametrize(("encoding", "guess"), [("latin-1", "Latin-1"), ("utf-16", "UTF-16")])
def test_another_encoding(encoding: str, guess: str, tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", "id,question\n1,Où est-ce ?\n".encode(encoding))
    assert "not UTF-8" in message and guess in message and "iconv" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nested(asked("7")), r"offset-type.*q1.*qas\[0\].*'7' -> read as 7"),
        (nested(asked("seven")), "offset-type.*expected a whole number, found 'seven'.*moved to 7"),
        (nested(asked(7.0)), "offset-type.*read as 7"),
        (nested(asked(True)), "offset-type.*True"),
        (nested(asked(8)), "answer-offset.*the text at 8 is 'da.', not 'Ada'; 'Ada' is at 7 -> moved to 7"),
        (nested(asked(-4)), "answer-offset.*the text at -4 is nothing"),
        (nested(asked(99)), "answer-offset.*the text at 99 is nothing"),
        (nested(asked(0), context="Ad Ada Ada"), r"'Ada' occurs 2 times\n"),
        (nested(asked(0, "Bob")), r"'Bob' is not in the context\n"),
        (nested(asked(), context=""), "empty-context"),
        (nested(asked(), context=" \n"), "empty-context"),
        (nested(asked(), context=None), "missing-value.*context"),
        (nested(asked(), context=["a"]), "wrong-type.*expected a text, found list"),
        (nested({**asked(), "question": " "}), "empty-question.*q1"),
        (nested({"id": "q1", "question": "Who?"}), "missing-value.*answers"),
        (nested({**asked(), "answers": "Ada"}), "answers-unreadable"),
        (nested({**asked(), "answers": [{"txt": "Ada"}]}), "answers-unreadable.*found .*txt"),
        (nested(asked(7, "")), "empty-answer"),
        (nested(asked(is_impossible=True)), "contradiction.*is_impossible is true"),
        (nested({**asked(), "answers": [], "is_impossible": False}), "contradiction.*is_impossible is false"),
        (nested(asked(), asked()), "duplicate-id.*the same example occurs twice"),
        (nested(asked(), {**asked(), "question": "What?"}), "duplicate-id.*renamed to 'q1#2'"),
        (nested({**asked(), "question": "\ud800?"}), r"broken-unicode.*\\ud800"),
    ],
)
def test_a_broken_row(content: str, words: str, tmp_path: Path) -> None:
    message = refused(tmp_path / "a.json", content)
    assert re.search(words, message, re.DOTALL), message
    assert "--repair" in message


@pytest.mark.parametrize("cell", ["", "NaN", "nan"])
def test_nan_in_csv(cell: str, tmp_path: Path) -> None:
    good = "1,Who?,It was Ada.,Ada,7\n"
    header = "id,question,context,answer,answer_start\n"
    for field, row in (
        ("question", f"2,{cell},It was Ada.,Ada,7\n"),
        ("context", f"2,Who?,{cell},Ada,7\n"),
        ("answers", f"2,Who?,It was Ada.,{cell},\n"),
    ):
        message = refused(tmp_path / "a.csv", header + good + row)
        assert re.search(rf"missing-value: 1.*2 \(line 3\) {field}", message, re.DOTALL), message
        assert len(load_corpus(str(tmp_path / "a.csv"), repair=True).examples) == 1


def test_an_empty_answer_cell_is_meant_where_the_source_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,question,context,answer,is_impossible\n1,Who?,Ada,,True\n2,Who?,Ada,Ada,False\n")
    assert [one.answerable for one in load_corpus(str(path)).examples] == [False, True]


def test_lines_are_counted_through_quoted_line_ends(tmp_path: Path) -> None:
    content = 'id,question,context,answer\r\n1,Who?,"It\r\nwas\r\nAda.",Ada\r\n2,Who?,,Ada\r\n'
    message = refused(tmp_path / "a.csv", content)
    assert "2 (line 5) context" in message


def test_only_five_cases_of_a_kind_are_shown(tmp_path: Path) -> None:
    questions = [{**asked(8), "id": f"q{n}"} for n in range(12)]
    message = refused(tmp_path / "a.json", nested(*questions))
    assert "12 defects in 12 of 12 examples" in message and "and 7 more" in message
    assert "q4 " in message and "q5 " not in message
