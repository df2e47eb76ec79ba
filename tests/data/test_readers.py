"""Every format gives the same examples; texts come through unharmed."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spantune.data import Answer, Corpus, Example, load_corpus
from spantune.data.checks.texts import text_fault

AWKWARD = [
    "Plain text about Ada Lovelace.",
    "Line one\r\nline two\r\n\r\nthird",
    "Emoji 👩‍🚀 and 🇫🇷 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 beyond the basic plane",
    "e\u0301 combining and \u00e9 composed, cafe\u0301",
    "שלום עולם, مرحبا بالعالم \u200f right to left",
    "Separators \u2028 and \u2029 and \x85 and \x0b inside, \"quotes\", commas, 'and' \\ too",
    "\ufeffmark at the front",
    "日本語のテキストには空白がない。",
]


def nested(examples: Sequence[Example], **extra: Any) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [
            {
                "title": one.title,
                "paragraphs": [
                    {
                        "context": one.context,
                        "qas": [
                            {
                                "id": one.id,
                                "question": one.question,
                                "answers": [{"text": a.text, "answer_start": a.start} for a in one.answers],
                            }
                        ],
                    }
                ],
            }
            for one in examples
        ],
        **extra,
    }


def squad_columns(one: Example) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "context": one.context,
        "question": one.question,
        "answers": {"text": [a.text for a in one.answers], "answer_start": [a.start for a in one.answers]},
    }


def write(path: Path, examples: Sequence[Example]) -> Path:
    rows = [squad_columns(one) for one in examples]
    match path.name:
        case "nested.json":
            path.write_text(json.dumps(nested(examples)), encoding="utf-8")
        case "flat.json":
            path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8", newline="")
        case "wrapped.json":
            path.write_text(json.dumps({"data": rows}), encoding="utf-8")
        case "lines.json" | "lines.jsonl":
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            path.write_text(text, encoding="utf-8", newline="")
        case "cells.csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows({**row, "answers": json.dumps(row["answers"])} for row in rows)
        case "repr.csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case "table.parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


FORMATS = [
    "nested.json",
    "flat.json",
    "wrapped.json",
    "lines.json",
    "lines.jsonl",
    "cells.csv",
    "repr.csv",
    "table.parquet",
]


def plain(corpus: Corpus) -> list[tuple[Any, ...]]:
    return [(one.id, one.question, one.context, one.answers, one.title) for one in corpus.examples]


def spanned(id: str, context: str, *spans: tuple[int, int]) -> Example:
    return Example(id, f"Question {id}?", context, tuple(Answer(context[a:b], a) for a, b in spans), "Title")


@pytest.mark.parametrize("answer", ["[]", "{x | x > 0}", "[1832]"])
@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("ending", ["json", "csv"])
def test_an_answer_in_brackets_is_no_list(answer: str, offset: bool, ending: str, tmp_path: Path) -> None:
    row = {"id": "1", "question": "q", "context": f"it is {answer}.", "answer": answer}
    row |= {"answer_start": 6} if offset else {}
    path = tmp_path / f"a.{ending}"
    if ending == "json":
        path.write_text(json.dumps([row]))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([list(row), list(row.values())])
    (example,) = load_corpus(str(path)).examples
    assert example.answers == (Answer(answer, 6),)


def test_blanks_around_the_names_of_a_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id , question, context, answer\n1,Who?,It was Ada.,Ada\n")
    assert load_corpus(str(tmp_path / "a.csv")).examples[0].answers == (Answer("Ada", 7),)


@pytest.mark.parametrize("name", FORMATS)
def test_awkward_texts_in_every_format(name: str, tmp_path: Path) -> None:
    examples = [spanned(str(n), text, (0, 5), (len(text) - 4, len(text))) for n, text in enumerate(AWKWARD)]
    corpus = load_corpus(str(write(tmp_path / name, examples)))
    assert plain(corpus) == [(e.id, e.question, e.context, e.answers, e.title) for e in examples]
    assert not corpus.defects


@pytest.mark.parametrize("name", FORMATS)
def test_a_question_without_answers_in_every_format(name: str, tmp_path: Path) -> None:
    examples = [spanned("a", "There it is.", (0, 5)), spanned("b", "There it is.")]
    corpus = load_corpus(str(write(tmp_path / name, examples)))
    assert [one.answerable for one in corpus.examples] == [True, False]


def test_the_formats_have_one_fingerprint(tmp_path: Path) -> None:
    examples = [spanned("a", "There it is.", (0, 5)), spanned("b", "Here, too.", (0, 4))]
    prints = {load_corpus(str(write(tmp_path / name, examples))).fingerprint for name in FORMATS}
    assert len(prints) == 1
    changed = [examples[0], spanned("b", "Here, too.", (0, 4), (6, 9))]
    assert load_corpus(str(write(tmp_path / "nested.json", changed))).fingerprint not in prints


text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda one: not text_fault(one)
)


@st.composite
def drawn(draw: st.DrawFn) -> list[Example]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        context = draw(text)
        answers = []
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, len(context) - 1))
            end = draw(st.integers(start + 1, len(context)))
            if context[start:end].strip():
                answers.append(Answer(context[start:end], start))
        made.append(Example(f"id{number}", draw(text), context, tuple(answers), draw(st.text("ab", max_size=3))))
    return made


@given(examples=drawn(), name=st.sampled_from(["nested.json", "flat.json", "lines.jsonl", "table.parquet"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(examples: list[Example], name: str, tmp_path: Path) -> None:
    if name == "table.parquet":  # Arrow types an all-empty list column as null
        examples = [*examples, spanned("last", "typed", (0, 5))]
    corpus = load_corpus(str(write(tmp_path / name, examples)))
    assert plain(corpus) == [(e.id, e.question, e.context, e.answers, e.title) for e in examples]
    for one in corpus.examples:
        for answer in one.answers:
            assert one.context[answer.start : answer.end] == answer.text


def test_official_v2_with_plausible_answers(tmp_path: Path) -> None:
    asked = [
        {"id": "1", "question": "Who?", "is_impossible": False, "answers": [{"text": "Ada", "answer_start": 0}]},
        {
            "id": "2",
            "question": "Why?",
            "is_impossible": True,
            "answers": [],
            "plausible_answers": [{"text": "Ada", "answer_start": 0}],
        },
        {"id": "3", "question": "When?", "is_impossible": True},
    ]
    value = {"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "Ada wrote.", "qas": asked}]}]}
    (tmp_path / "v2.json").write_text(json.dumps(value), encoding="utf-8")
    examples = load_corpus(str(tmp_path / "v2.json")).examples
    assert [len(one.answers) for one in examples] == [1, 0, 0]


def test_a_mark_of_utf_8_is_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,question,context,answer,answer_start\n1,Who?,Ada wrote.,Ada,0\n", encoding="utf-8-sig")
    assert load_corpus(str(path)).examples[0].id == "1"


def test_flat_columns_and_your_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("nr,frage,text,antwort,stelle\n7,Wer?,Es war Ada.,Ada,7\n", encoding="utf-8")
    names = ("id=nr", "question=frage", "context=text", "answer=antwort", "answer_start=stelle")
    corpus = load_corpus(str(path), columns=names)
    assert plain(corpus) == [("7", "Wer?", "Es war Ada.", (Answer("Ada", 7),), "")]
    assert not corpus.defects


def test_a_mapping_falls_back_on_squads_names(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "q?", "context": "a b", "answer_text": "b"}), encoding="utf-8")
    assert load_corpus(str(path), columns=("question=frage", "answer=antwort")).examples[0].answers == (Answer("b", 2),)


@pytest.mark.parametrize(
    "answers",
    [
        {"answers": {"text": ["b"], "answer_start": [2]}},
        {"answers": [{"text": "b", "answer_start": 2}]},
        {"answers": ["b"]},
        {"answers": "b"},
        {"answer": "b"},
        {"answer": ["b"], "answer_start": [2]},
        {"answer_text": "b", "answer_start": 2},
        {"answer": "b", "answer_start": None},
        {"answers": {"text": "b", "answer_start": 2}},
    ],
)
def test_every_form_of_answers(answers: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 5, "question": "q?", "context": "a b", **answers}), encoding="utf-8")
    corpus = load_corpus(str(path))
    assert (corpus.examples[0].id, corpus.examples[0].answers) == ("5", (Answer("b", 2),))
    assert not corpus.defects


def test_offsets_found_and_ids_made_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,context,answer\nWho?,Ada wrote it.,Ada\nWhat?,Ada wrote it.,it\n", encoding="utf-8")
    corpus = load_corpus(str(path))
    assert corpus.counts["offsets found"] == 2 and corpus.counts["ids made"] == 2
    assert [one.answers[0].start for one in corpus.examples] == [0, 10]


def test_made_ids_depend_on_the_content_alone(tmp_path: Path) -> None:
    lines = ["Who?,Ada wrote it.,Ada", "What?,Ada wrote it.,it"]
    for name, order in (("a.csv", lines), ("b.csv", lines[::-1])):
        (tmp_path / name).write_text("question,context,answer\n" + "\n".join(order) + "\n", encoding="utf-8")
    first, second = (load_corpus(str(tmp_path / name)).examples for name in ("a.csv", "b.csv"))
    assert {(e.id, e.question) for e in first} == {(e.id, e.question) for e in second}
    assert first[0].id == hashlib.sha256(b"Who?\0Ada wrote it.").hexdigest()[:16]


def test_questions_that_are_to_be_answered_need_no_answers(tmp_path: Path) -> None:
    path = tmp_path / "ask.jsonl"
    path.write_text(json.dumps({"id": "1", "question": "q?", "context": "a b"}), encoding="utf-8")
    assert load_corpus(str(path), require_answers=False).examples == (Example("1", "q?", "a b", (), "", str(path)),)


def test_a_context_of_200_000_characters(tmp_path: Path) -> None:
    context = "word " * 40_000 + "needle"
    for name in FORMATS:
        corpus = load_corpus(str(write(tmp_path / name, [spanned("1", context, (200_000, 200_006))])))
        assert corpus.examples[0].answers[0].text == "needle"


def test_nan_may_be_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,question,context,answer\n1,Which value?,It prints NaN.,NaN\n", encoding="utf-8")
    assert load_corpus(str(path)).examples[0].answers == (Answer("NaN", 10),)


def test_dates_that_nobody_reads_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    row = {"id": ["1"], "question": ["Who?"], "context": ["Ada came"], "answer": ["Ada"]}
    dates = pyarrow.array([2**62], pyarrow.timestamp("us"))
    pyarrow.parquet.write_table(pyarrow.table({**row, "at": dates}), path)
    (example,) = load_corpus(str(path)).examples
    assert example.answers[0].text == "Ada"
