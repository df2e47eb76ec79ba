"""What is mended, how, and that nothing is lost uncounted."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spantune.data import Answer, load_corpus
from spantune.data.checks.repairs import find_once, is_words
from spantune.data.checks.validation import check_rows
from spantune.data.readers.raw_row import RawRow, Unreadable


@pytest.mark.parametrize(
    ("context", "text", "found"),
    [
        ("It was Ada.", "Ada", Answer("Ada", 7)),
        ("Ada or Ada", "Ada", None),
        ("It was Bob.", "Ada", None),
        ("one\r\ntwo", "one\ntwo", Answer("one\r\ntwo", 0)),
        ("one  two", "one two", Answer("one  two", 0)),
        ("the cafe\u0301 there", "caf\u00e9", Answer("cafe\u0301", 4)),
        ("the caf\u00e9 there", "cafe\u0301", Answer("caf\u00e9", 4)),
        ("the cafe\u0301", "\ncaf\u00e9 ", Answer("cafe\u0301", 4)),
        ("the caf\u00e9", "cafe", None),  # half a letter is no answer
        ("caf\u00e9 cafe\u0301", "caf\u00e9", Answer("caf\u00e9", 0)),  # one exact place goes before a folded one
        ("가나다", "\u1100\u1161\u1102\u1161", Answer("가나", 0)),
        ("👩‍🚀 flies", "flies", Answer("flies", 4)),
        ("aaa", "aa", None),
        ("", "a", None),
        ("a", "\u0301", None),
    ],
)
def test_the_one_place(context: str, text: str, found: Answer | None) -> None:
    place = find_once(context, text)
    assert (place and place.answer) == found


letters = st.text("ab e\u0301\u00e9\r\n", max_size=12)


@given(context=letters, text=letters.filter(str.strip))
def test_a_found_place_is_the_contexts_own_text(context: str, text: str) -> None:
    place = find_once(context, text)
    start, bare = context.find(text), text.strip()
    if place is not None:
        answer = place.answer
        assert context[answer.start : answer.end] == answer.text and answer.text
        lead = len(answer.text) - len(answer.text.lstrip())
        begin = answer.start + lead
        assert place.in_word != is_words(context, begin, begin + len(answer.text.strip()))
    if start >= 0 and context.find(text, start + 1) < 0:
        begin = start + text.index(bare)
        if is_words(context, begin, begin + len(bare)):
            assert place is not None and place.answer == Answer(text, start)


values = st.one_of(
    st.none(),
    st.integers(-3, 12),
    st.floats(),
    st.text("Ada \ud800", max_size=5),
    st.booleans(),
    st.just([]),
)
rows = st.builds(
    RawRow,
    id=values,
    question=values,
    context=st.one_of(values, st.just("It was Ada.")),
    answers=st.one_of(st.none(), st.lists(st.tuples(values, values), max_size=3)),
    impossible=st.sampled_from([None, True, False, Unreadable("'perhaps'")]),
    one_answer=st.booleans(),
    title=values,
)


@given(st.lists(rows, max_size=6))
@settings(max_examples=3 * settings.default.max_examples)
def test_whatever_comes_in_examples_are_sound_and_rows_are_counted(raw: list[RawRow]) -> None:
    checked = check_rows(raw, "source")
    assert checked.rows == len(raw) == len(checked.examples) + checked.dropped + checked.tallies["rows joined"]
    assert len({one.id for one in checked.examples}) == len(checked.examples)
    assert checked.dropped == 0 or any(defect.blocking for defect in checked.defects)
    for one in checked.examples:
        assert one.id and one.question.strip() and one.context.strip()
        for answer in one.answers:
            assert answer.text.strip() and one.context[answer.start : answer.end] == answer.text


def load(tmp_path: Path, *rows: dict[str, Any]) -> Any:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return load_corpus(str(path), repair=True)


def row(id: str, *answers: tuple[str, Any], context: str = "It was Ada.") -> dict[str, Any]:
    return {
        "id": id,
        "question": f"Who is {id}?",
        "context": context,
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
    }


def test_what_can_be_mended_is_and_the_rest_is_dropped(tmp_path: Path) -> None:
    corpus = load(
        tmp_path,
        row("good", ("Ada", 7)),
        row("moved", ("Ada", 6)),
        row("text", ("Ada", "7")),
        row("lost", ("Bob", 7)),
        row("spared", ("Bob", 7), ("Ada", 7)),
        row("good", ("Ada", 7)),
        row("crlf", ("was\nAda", 3), context="It was\r\nAda."),
    )
    assert [one.id for one in corpus.examples] == ["good", "moved", "text", "spared", "crlf"]
    assert all(one.answers == (Answer("Ada", 7),) for one in corpus.examples[:-1])
    assert corpus.examples[-1].answers == (Answer("was\r\nAda", 3),)
    assert corpus.counts["rows read"] == 7 and corpus.counts["examples dropped"] == 2
    assert [(defect.id, defect.kind, defect.repair) for defect in corpus.defects] == [
        ("moved", "answer-offset", "moved to 7"),
        ("text", "offset-type", "read as 7"),
        ("lost", "answer-offset", None),
        ("spared", "answer-offset", "this answer is dropped, 1 of the question's stays"),
        ("good", "duplicate-id", "the repeat is dropped"),
        ("crlf", "answer-offset", "moved to 3 as 'was\\r\\nAda'"),
    ]


def test_a_repaired_corpus_read_again_has_no_defects(tmp_path: Path) -> None:
    corpus = load(tmp_path, row("a", ("Ada", 6)), row("b", ("Ada", "7")))
    again = [row(one.id, *((answer.text, answer.start) for answer in one.answers)) for one in corpus.examples]
    assert not load(tmp_path, *again).defects


def test_a_text_that_stands_twice_has_no_offset_to_find(tmp_path: Path) -> None:
    corpus = load(
        tmp_path,
        {"id": "1", "question": "q", "context": "Ada or Ada", "answer": "Ada"},
        {"id": "2", "question": "q", "context": "Ada", "answer": "Ada"},
    )
    assert [one.id for one in corpus.examples] == ["2"]
    assert "occurs 2 times" in corpus.defects[0].detail and corpus.defects[0].kind == "offset-missing"
