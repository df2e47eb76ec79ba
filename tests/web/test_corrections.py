"""The store of corrections: code points, replacing, export that training reads, several writers at once."""

import json
import sqlite3
import threading

import pytest

from spantune.data import load_corpus
from spantune.errors import DataError, RunError
from spantune.web.corrections import FILE, Corrections, key_of, place_of, to_squad

EMOJI = "👩‍👩‍👧 met 𝒢ödel 🎲 in Vienna.\r\nHe said: “no” — twice, no less."


def exported(corrections, tmp_path, version):
    path = tmp_path / f"{version}.json"
    path.write_text(json.dumps(to_squad(corrections.listed(), version)), encoding="utf-8")
    return load_corpus(str(path))


def test_an_export_is_read_by_training(tmp_path):
    kept = Corrections(tmp_path)
    kept.put("Who was met?", EMOJI, "𝒢ödel", EMOJI.index("𝒢"), "compare")
    kept.put("What was said?", EMOJI, "no", EMOJI.rindex("no"), "compare")
    kept.put("When?", EMOJI, "", None)
    kept.put("Where?", "In Vienna.", "Vienna", None)
    corpus = exported(kept, tmp_path, "v2.0")
    by_question = {one.question: one for one in corpus.examples}
    assert len(corpus.examples) == 4 and not corpus.defects
    for question, text in (("Who was met?", "𝒢ödel"), ("What was said?", "no"), ("Where?", "Vienna")):
        (answer,) = by_question[question].answers
        assert by_question[question].context[answer.start : answer.end] == answer.text == text
    assert by_question["What was said?"].answers[0].start == EMOJI.rindex("no"), (
        "the place that was marked, not the first"
    )
    assert by_question["Who was met?"].context == EMOJI, "letter by letter"
    assert by_question["When?"].answers == ()
    assert {one.question for one in exported(kept, tmp_path, "v1.1").examples} == set(by_question) - {"When?"}
    articles = to_squad(kept.listed(), "v2.0")["data"]
    assert len(articles) == 2 and len(next(one for one in articles if one["title"] == "compare")["paragraphs"]) == 1


def test_a_later_correction_replaces_the_earlier(tmp_path):
    kept = Corrections(tmp_path)
    kept.put("Where?", "In Vienna or Graz.", "Graz", None)
    made = kept.put("Where?", "In Vienna or Graz.", "Vienna", 3)
    kept.put("Where?", "In Linz.", "Linz", None)
    assert kept.count() == 2 and kept.get(made.key) == made
    assert [one.text for one in kept.listed()] == ["Linz", "Vienna"]
    assert kept.listed(1, 1) == [made]
    assert kept.delete(made.key) and not kept.delete(made.key)
    assert kept.get(made.key) is None and kept.count() == 1
    assert key_of("a", "bc") != key_of("ab", "c")


@pytest.mark.parametrize(
    ("text", "start", "problem"),
    [
        ("Rome", None, "is not in the context"),
        ("no", None, "several times"),
        ("no", 1, "is not there"),
        ("no", -2, "is not there"),
        (" ", 2, "is empty"),
    ],
)
def test_an_answer_must_stand_where_it_says(tmp_path, text, start, problem):
    with pytest.raises(DataError, match=problem):
        Corrections(tmp_path).put("?", "yes, no, no", text, start)
    assert not (tmp_path / FILE).exists()


def test_a_place_that_is_named_is_taken():
    assert place_of("yes, no, no", "no", 9) == 9
    assert place_of("yes, no", "no", None) == 5


@pytest.mark.parametrize(("question", "context"), [("", "x"), ("x", " "), ("\ud800", "x")])
def test_a_question_needs_texts(tmp_path, question, context):
    with pytest.raises(DataError):
        Corrections(tmp_path).put(question, context, "", None)


def test_an_empty_store_makes_no_file(tmp_path):
    kept = Corrections(tmp_path / "new")
    assert kept.listed() == [] and kept.count() == 0 and kept.get("x") is None and not kept.delete("x")
    assert not (tmp_path / "new").exists()


def test_a_change_is_undone_and_made_again(tmp_path):
    kept = Corrections(tmp_path)
    text = "In Vienna or Graz."

    def undo(key):
        return kept.undo(key, kept.last_change(key).stamp)

    first = kept.put("Where?", text, "Graz", None, "compare")
    assert kept.last_change(first.key).before is None
    second = kept.put("Where?", text, "", None)
    kept.put("Where?", text, "", None)
    assert kept.last_change(first.key).before == first, "a form that is sent twice is one change"
    assert not kept.undo(first.key, second.corrected_at + "x"), "of a page that is older than the last change"
    assert undo(first.key) and kept.get(first.key) == first
    assert undo(first.key) and kept.get(first.key).start is None
    undo(first.key)
    kept.delete(first.key)
    change = kept.last_change(first.key)
    assert (change.now, change.before, change.stamp) == (None, first, "")
    assert undo(first.key) and kept.listed() == [first], "in its old place in the list"
    assert kept.last_change("x") is None and not kept.undo("x", "")


def test_what_was_before_is_forgotten_after_a_day(tmp_path):
    kept = Corrections(tmp_path)
    key = kept.put("Where?", "In Vienna.", "Vienna", None).key
    kept.delete(key)
    with sqlite3.connect(tmp_path / FILE) as base:
        base.execute("UPDATE earlier SET changed_at = '2020-01-01T00:00:00.000+00:00'")
    kept.put("Who?", "In Vienna.", "Vienna", None)
    assert kept.last_change(key) is None
    with sqlite3.connect(tmp_path / FILE) as base:
        assert base.execute("SELECT COUNT(*) FROM earlier").fetchone() == (1,)


def test_a_file_of_the_first_schema_is_gone_on_with(tmp_path):
    made = Corrections(tmp_path).put("Where?", "In Vienna.", "Vienna", None)
    with sqlite3.connect(tmp_path / FILE) as base:
        base.execute("DROP TABLE earlier")
        base.execute("PRAGMA user_version = 1")
    kept = Corrections(tmp_path)
    assert kept.get(made.key) == made and kept.last_change(made.key) is None
    assert kept.delete(made.key) and kept.undo(made.key, "") and kept.get(made.key) == made


def test_many_writers_at_once(tmp_path):
    """Threads begin on a file that is not there yet, so that they also race to make the table."""
    failures = []

    def write(writer):
        kept = Corrections(tmp_path)  # of its own, as in another process
        try:
            for number in range(10):
                kept.put(f"{writer} {number}?", "In Vienna.", "Vienna", 3)
                kept.put("The same for all?", "In Vienna.", "Vienna", 3)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failures
    kept = Corrections(tmp_path)
    assert kept.count() == 81
    with sqlite3.connect(tmp_path / FILE) as base:
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert base.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_file_of_another_version_or_kind_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(RunError, match="cannot be read or written"):
        Corrections(tmp_path).count()
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as base:
        base.execute("PRAGMA user_version = 7")
    with pytest.raises(RunError, match="schema 7"):
        Corrections(tmp_path).listed()
