import json
from pathlib import Path

import pytest

from spantune.data import Answer, Corpus, Example, Lengths, diagnose, examine
from spantune.data.checks.doctor import spread

CORPUS = Corpus.of(
    [
        Example("1", "Who was it?", "It was Ada.", (Answer("Ada", 7), Answer("It was Ada", 0))),
        Example("2", "Who was it?", "It was Ada.", (Answer("Ada", 7),)),
        Example("3", "Why, then?", "Nobody knows, 👩‍🚀."),
    ],
    "tiny",
)


def test_counts_and_lengths() -> None:
    report = diagnose(CORPUS)
    assert report.counts == {
        "questions": 3,
        "contexts": 2,
        "answerable": 2,
        "unanswerable": 1,
        "answers": 3,
        "several answers": 1,
        "answers per answerable question": 1.5,
    }
    assert report.lengths["context characters"] == Lengths(11, 14.5, 14.5, 18, 18)
    assert report.lengths["answer words"] == Lengths(1, 1, 1.7, 3, 3)
    assert report.fingerprint == CORPUS.fingerprint


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5], Lengths(5, 5, 5, 5, 5)),
        (range(1, 101), Lengths(1, 50.5, 50.5, 95, 100)),
        (range(1, 21), Lengths(1, 10.5, 10.5, 19, 20)),
        ([3, 1, 2], Lengths(1, 2, 2, 3, 3)),
    ],
)
def test_the_spread(values: list[int], expected: Lengths) -> None:
    assert spread(values) == expected


def test_notes_do_not_block() -> None:
    other = Corpus.of([Example("9", "q", "It  was\r\nAda.", ())], "other")
    unreachable = [("unreachable-answer", CORPUS.examples[0].id, "12 tokens from 3 to 15")]
    report = diagnose(CORPUS, other, answers=lambda _: unreachable)
    assert not report.blocking
    assert [(one.kind, one.id) for one in report.notes] == [
        ("duplicate-question", "2"),
        ("shared-context", "1"),
        ("unreachable-answer", "1"),
    ]
    assert "12 tokens from 3 to 15" in report.to_text() and "is in other too" in report.to_text()


def test_unanswerable_questions_where_none_are_allowed() -> None:
    assert [one.kind for one in diagnose(CORPUS, squad_v2=False).blocking] == ["unanswerable"]
    assert not diagnose(CORPUS).blocking


def test_the_text_is_aligned_and_says_what_was_not_checked() -> None:
    text = diagnose(CORPUS).to_text()
    lines = text.splitlines()
    assert lines[0].startswith("tiny  (sha256 ")
    table = [line for line in lines if "characters" in line or "words" in line or "lengths" in line]
    assert len(table) == 7 and len({len(line) for line in table}) == 1
    assert "No defects." in lines and "Notes: 1" in lines
    assert text.count("Not checked:") == 2
    assert "Not checked" not in diagnose(CORPUS, CORPUS, answers=lambda _: []).to_text()


def test_a_broken_source_is_reported_and_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": str(n), "question": "q", "context": f"a {n}", "answer": "a", "answer_start": 1} for n in range(7)]
    rows += [{"id": "x", "question": "", "context": "a", "answer": "a"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = diagnose(examine(f"{path}*0.5"))
    assert (len(report.blocking), report.counts["rows read"], report.counts["examples dropped"]) == (8, 8, 1)
    text = report.to_text()
    assert "answer-offset: 7" in text and "[7 can be mended]" in text and "and 2 more" in text
    assert "empty-question: 1" in text and "[0 can be mended]" in text
    assert "x (line 8) question: ''" in text
    as_dict = json.loads(json.dumps(report.as_dict()))
    assert as_dict["defect_counts"] == {"empty-question": 1, "answer-offset": 7}
    assert as_dict["defects"][0]["repair"] == "moved to 0" and as_dict["defects"][0]["blocking"] is True


def test_an_empty_corpus_has_a_report() -> None:
    assert "questions" in diagnose(Corpus.of([], "nothing")).to_text()


def test_a_rule_that_does_not_fit_the_script_of_the_answers_is_said() -> None:
    chinese = Corpus.of([Example("1", "?", "北京是首都", (Answer("北京", 0),))], "chinese")
    found = diagnose(chinese)
    assert "--scoring mlqa --language zh" in (found.scoring_note or "")
    assert f"Scoring: {found.scoring_note}" in found.to_text().splitlines()
    assert found.as_dict()["scoring_note"] == found.scoring_note
    assert diagnose(chinese, language="zh").scoring_note is None and diagnose(CORPUS).scoring_note is None
