"""Accepted answers are read as they are meant: words, all rows of a question, one unit of offsets, no silent guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.data import Answer, Corpus, examine, load_corpus
from spantune.data.checks.offset_units import UNITS
from spantune.data.checks.repairs import find_once
from spantune.data.checks.texts import require_text
from spantune.data.checks.validation import check_rows
from spantune.data.corpus import reading_notes
from spantune.data.readers.raw_row import RawRow, Unreadable
from spantune.errors import DataError


def csv(folder: Path, text: str) -> str:
    (folder / "a.csv").write_text(text, encoding="utf-8", newline="")
    return str(folder / "a.csv")


def kinds(corpus: Corpus) -> list[str]:
    return [defect.kind for defect in corpus.defects]


@pytest.mark.parametrize(
    ("context", "text", "start"),
    [
        ("The known answer is no, again.", "no", 20),
        ("In 1915 he had 15 mills.", "15", 15),
        ("She started a school. It was art.", "art", 29),
        ("A German man came.", "man", 9),
        ("cost 1,500 or 500 then", "500", 14),
        ("河流在山里", "山", 3),
        ("เขาอยู่ที่โรงสี", "โรงสี", 10),
    ],
)
def test_a_word_goes_before_the_inside_of_one(context: str, text: str, start: int) -> None:
    place = find_once(context, text)
    assert place is not None and (place.answer, place.in_word) == (Answer(text, start), False)


@pytest.mark.parametrize(
    ("context", "text", "word"),
    [
        ("Little is known of the mill.", "no", "known"),
        ("She started a school", "art", "started"),
        ("Built in 1915", "15", "1915"),
        ("A German came", "man", "German"),
    ],
)
def test_the_inside_of_a_word_is_taken_with_a_note_and_never_by_a_repair(
    context: str, text: str, word: str, tmp_path: Path
) -> None:
    path = csv(tmp_path, f"question,context,answer\nWho?,{context},{text}\n")
    corpus = examine(path)
    assert [one.answers[0].text for one in corpus.examples] == [text] and kinds(corpus) == ["inside-word"]
    with pytest.warns(UserWarning, match=f"inside a word: 1, .*only inside '{word}"):
        load_corpus(path)
    row = {"id": "1", "question": "Who?", "context": context, "answers": [{"text": text, "answer_start": 0}]}
    (tmp_path / "b.jsonl").write_text(json.dumps(row))
    corpus = examine(str(tmp_path / "b.jsonl"))
    assert kinds(corpus) == ["answer-offset"] and corpus.examples == () and corpus.defects[0].repair is None
    assert f"only inside '{word}" in corpus.defects[0].detail


def test_rows_of_one_question_are_joined(tmp_path: Path) -> None:
    head = "question,context,answer,answer_start\n"
    text = head + "When?,Ada built it in 1841.,1841,16\nWhen?,Ada built it in 1841.,in 1841,13\n"
    corpus = examine(csv(tmp_path, text))
    (example,) = corpus.examples
    assert example.answers == (Answer("1841", 16), Answer("in 1841", 13))
    assert corpus.counts["rows joined"] == 1 and corpus.counts["rows read"] == 2
    assert corpus.counts["examples dropped"] == 0
    assert kinds(corpus) == ["joined-rows"] and "2 rows are 1 question " in reading_notes(corpus)[0]
    separate = examine(csv(tmp_path, text), rows="separate")
    assert len(separate.examples) == 2 and kinds(separate) == []


def test_rows_that_share_an_id_are_joined_and_other_questions_are_not(tmp_path: Path) -> None:
    head = "id,question,context,answer,answer_start\n"
    first = "7,When?,Ada built it in 1841.,1841,16\n"
    corpus = examine(csv(tmp_path, head + first + "7,When?,Ada built it in 1841.,in 1841,13\n"))
    assert [(one.id, len(one.answers)) for one in corpus.examples] == [("7", 2)]
    corpus = examine(csv(tmp_path, head + first + "7,Who?,Ada built it in 1841.,Ada,0\n"))
    assert [one.id for one in corpus.examples] == ["7", "7#2"] and kinds(corpus) == ["duplicate-id"]


@pytest.mark.parametrize(
    ("second", "questions"),
    [("in 1841,13", 1), ("1841,16", 2), (",", 2)],
    ids=["another answer", "the same answer", "no answer"],
)
def test_rows_with_ids_of_their_own(second: str, questions: int, tmp_path: Path) -> None:
    head = "id,question,context,answer,answer_start,is_impossible\n"
    rows = f"1,When?,Ada built it in 1841.,1841,16,\n2,When?,Ada built it in 1841.,{second},{second == ','}\n"
    corpus = examine(csv(tmp_path, head + rows))
    assert len(corpus.examples) == questions and not any(defect.blocking for defect in corpus.defects)
    assert [one.id for one in corpus.examples] == ["1", "2"][:questions]


def test_rows_that_disagree_about_an_answer_are_a_contradiction() -> None:
    rows = [
        RawRow("1", "Who?", "Ada came", [("Ada", 0)], False, one_answer=True),
        RawRow("1", "Who?", "Ada came", [], True, one_answer=True),
    ]
    checked = check_rows(rows, "x")
    assert [one.kind for one in checked.defects] == ["joined-rows", "contradiction"] and checked.dropped == 1


def test_an_empty_text_is_no_answer_where_the_row_says_so() -> None:
    for answers in ([("", 0)], [("", -1)], [("", None)], [(None, None)], [(" ", 0), ("", 0)]):
        (example,) = check_rows([RawRow("1", "Who?", "Ada came", answers, True)], "x").examples
        assert example.answers == ()
        without = check_rows([RawRow("1", "Who?", "Ada", answers, None)], "x")
        assert without.examples == [] and without.defects[0].kind in ("empty-answer", "missing-value")


def test_an_is_impossible_that_is_neither_yes_nor_no_is_a_defect() -> None:
    checked = check_rows([RawRow("1", "Who?", "Ada came", [("Ada", 0)], Unreadable("'perhaps'"))], "x")
    assert [(one.kind, one.detail) for one in checked.defects] == [("impossible-unreadable", "'perhaps'")]
    assert checked.examples == []


def offset_in(unit: int, context: str, start: int) -> int:
    before = context[:start]
    joined = before.replace("\r\n", "\n")
    return (
        len(before.encode("utf-16-le")) // 2,
        len(before.encode()),
        len(joined),
        len(joined.encode("utf-16-le")) // 2,
        len(joined.encode()),
        len(joined) + joined.count("\n"),
    )[unit]


WORDS = st.lists(st.sampled_from(["Ada", "é", "🙂", "मिल", "mill", "\r\n", "x\r\ny", "𝒳"]), min_size=2, max_size=20)


@pytest.mark.parametrize("unit", range(len(UNITS)))
@given(words=WORDS, data=st.data())
def test_offsets_of_another_unit_are_all_converted(unit: int, words: list[str], data: st.DataObject) -> None:
    words = [f"{word}{place:02}" for place, word in enumerate(words)]  # each once, so that its place is certain
    context = " ".join(words)
    rows: list[RawRow] = []
    for number, word in enumerate(data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=4))):
        written = word.lstrip()
        start = offset_in(unit, context, context.index(written))
        spelled = written.replace("\r\n", "\n") if unit in (2, 3, 4) else written
        rows.append(RawRow(str(number), f"q{number}", context, [(spelled, start)], title=written))
    checked = check_rows(rows, "x")
    assert {defect.kind for defect in checked.defects} <= {"offset-unit"}
    meant = [(Answer(str(row.title), context.index(str(row.title))),) for row in rows]
    assert [example.answers for example in checked.examples] == meant


@pytest.mark.parametrize(
    ("unit", "context", "text"),
    [
        (0, "🙂🙂 Ada met Ada", "Ada"),
        (1, "Où est Ada, où est Ada", "Ada"),
        (2, "one\r\ntwo\r\nAda met Ada", "Ada"),
        (2, "one\r\ntwo\r\nAda\r\nmet Ada", "Ada\nmet"),
        (3, "🙂\r\ntwo\r\nAda met Ada", "Ada"),
        (4, "Où\r\ntwo\r\nAda\r\nmet Ada", "Ada\nmet"),
        (5, "one\ntwo\nAda met Ada", "Ada"),
    ],
)
def test_a_whole_file_in_another_unit(unit: int, context: str, text: str) -> None:
    meant = context.index(text.replace("\n", "\r\n"))
    rows: list[Any] = [RawRow("1", "Who?", context, [(text, offset_in(unit, context, meant))], None)]
    checked = check_rows(rows, "x")
    assert checked.examples[0].answers[0].start == meant
    assert [one.kind for one in checked.defects] == ["offset-unit"] and UNITS[unit].name in checked.defects[0].detail
    wrong = RawRow("2", "What?", context, [(context[:3], 2)], None)
    assert "offset-unit" not in [one.kind for one in check_rows([*rows, wrong], "x").defects]


def test_right_offsets_beside_text_of_other_widths_stay() -> None:
    context = "🙂 Ada où Ada"
    checked = check_rows([RawRow("1", "Who?", context, [("Ada", 2), ("Ada", 9)], None)], "x")
    assert checked.defects == [] and [one.start for one in checked.examples[0].answers] == [2, 9]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Ada \ud83d built", "half a surrogate"),
        ("Ada \udcff Moor", "half a surrogate"),
        ("Ada\x00", "control"),
        (" \n", "empty"),
    ],
)
def test_texts_that_no_encoder_reads(text: str, word: str) -> None:
    with pytest.raises(DataError, match=word) as caught:
        require_text(text, "context")
    str(caught.value).encode()
    with pytest.raises(DataError, match=r"expected: +a text"):
        require_text(b"Ada", "context")


def test_control_characters_in_files_are_refused_and_can_be_mended(tmp_path: Path) -> None:
    row = {"id": "1", "question": "Who?", "context": "It\x00was Ada.", "answers": [{"text": "Ada", "answer_start": 7}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match="control-character: 1"):
        load_corpus(str(tmp_path / "a.jsonl"))
    (example,) = load_corpus(str(tmp_path / "a.jsonl"), repair=True).examples
    assert example.context == "It was Ada." and example.answers == (Answer("Ada", 7),)
