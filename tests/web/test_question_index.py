"""The index: who is right, filters that narrow each other, orders, search, several seeds, and its speed."""

import shutil
import time

import pytest
from made_studies import ANSWERS, RIVER, ROWS, made_up_index, question_row, write_study

from spantune.reports.judged_answers import Incomplete
from spantune.web.index_cache import Shelf, Unread
from spantune.web.question_index import ORDERS, SLICES, QuestionFilters, read_index


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("explored") / "compare", ROWS, ANSWERS)


@pytest.fixture(scope="module")
def index(study):
    return read_index(study)


def ids(index, **filters):
    found = index.find(QuestionFilters(**{"order": "data", **filters}))
    return "".join(index.question(row).id for row in found.rows.tolist())


def method(index, label):
    return index.methods.index(label)


def test_it_knows_who_is_right(index):
    full, ia3 = method(index, "Full fine-tuning"), method(index, "(IA)³")
    assert index.methods[0] == "Full fine-tuning", "the best F1 first"
    assert ids(index) == "abcd"
    assert ids(index, who="all") == "b"
    assert ids(index, who="none") == "d"
    assert ids(index, who="differ") == "ac"
    assert ids(index, right=("Full fine-tuning",), wrong=("LoRA",)) == "ac"
    assert ids(index, right=("LoRA",), wrong=("Full fine-tuning",)) == ""
    assert ids(index, wrong=("LoRA", "(IA)³")) == "acd"
    assert index.right_and_wrong[full][ia3] == 2 and index.right_and_wrong[ia3][full] == 0


def test_a_kind_of_error_is_that_of_the_methods_that_are_meant(index):
    assert ids(index, kind="boundary") == "ac"
    assert ids(index, kind="boundary", wrong=("LoRA",)) == "a"
    assert ids(index, kind="boundary", wrong=("(IA)³",)) == "c"
    assert ids(index, kind="elsewhere", wrong=("(IA)³",)) == "ad"


def test_the_counts_say_what_each_choice_would_show(index):
    for filters in (
        QuestionFilters(),
        QuestionFilters(who="differ"),
        QuestionFilters(words="rhine"),
        QuestionFilters(kind="boundary", slice=list(SLICES)[1]),
    ):
        found = index.find(filters)
        for kind, count in found.kinds.items():
            changed = QuestionFilters(**{**vars(filters), "kind": kind})
            assert count == len(index.find(changed).rows), (filters, kind)
        assert set(found.slices) == set(SLICES)
        for name, count in found.slices.items():
            changed = QuestionFilters(**{**vars(filters), "slice": name})
            assert count == len(index.find(changed).rows), (filters, name)


def test_search_looks_into_question_context_and_id_whatever_the_case(index):
    assert ids(index, words="rhine") == "ab"
    assert ids(index, words="EIFFEL When") == "d"
    assert ids(index, words="  north   SEA ") == "ab"
    assert ids(index, words="nowhere") == ""
    assert ids(index, words="1,230") == "ab"


def test_orders(index):
    assert ids(index, order="hard")[0] == "d" and ids(index, order="easy")[0] == "b"
    assert ids(index, order="short")[:2] in ("ab", "ba") and ids(index, order="long")[:2] in ("cd", "dc")
    assert ids(index, order="id") == "abcd"
    assert ids(index, order="telling")[:2] in ("ac", "ca"), "where methods differ comes first"
    assert all(sorted(ids(index, order=order)) == list("abcd") for order in ORDERS)


def test_a_question_has_every_answer_with_its_place_and_scores(index):
    one = index.question(index.row_of(0))
    assert (one.id, one.accepted, one.golds) == ("a", ("the Alps",), ((21, 29),))
    by_label = {given.label: given for given in one.answers}
    lora = by_label["LoRA"]
    assert (lora.text, lora.right, lora.em, lora.kind) == ("from the Alps", False, 0, "boundary")
    assert one.context[lora.start : lora.end] == "from the Alps"
    assert lora.f1 == 67, "alps of from alps: precision 1/2, recall 1"
    assert by_label["Full fine-tuning"].em == 100
    assert dict(one.slices)["question word"] == "where"
    assert one.different[0][0].label == "Full fine-tuning", "right answers first"
    assert index.row_of(4) is None and index.row_of(-1) is None


def test_of_several_seeds_the_majority_counts(tmp_path):
    right, wrong = ["the Alps"], ["the North Sea"]
    study = write_study(tmp_path / "s", ROWS[:1], {"lora": [wrong, right, right], "ia3": [wrong, right, wrong]})
    one = (index := read_index(study)).question(0)
    by_label = {given.label: given for given in one.answers}
    assert (by_label["LoRA"].right, by_label["LoRA"].text, by_label["LoRA"].runs_right) == (True, "the Alps", 2)
    assert (by_label["(IA)³"].right, by_label["(IA)³"].text) == (False, "the North Sea")
    assert index.runs == (3, 3)
    half = read_index(write_study(tmp_path / "half", ROWS[:1], {"lora": [wrong, right]})).question(0).answers[0]
    assert (half.right, half.text, half.runs_right) == (False, "the North Sea", 1), "half of them is no majority"


def test_no_answer_is_an_answer(tmp_path):
    rows = (ROWS[0], question_row("n", "Who owns the Rhine?", RIVER))
    index = read_index(write_study(tmp_path / "s", rows, {"lora": [["", ""]], "ia3": [["the Alps", "the Alps"]]}))
    lora = method(index, "LoRA")
    assert ids(index, right=("LoRA",), wrong=("(IA)³",)) == "n"
    assert ids(index, kind="empty") == "a" and ids(index, kind="wrongly answered") == "n"
    one = index.question(index.row_of(1)).answers[lora]
    assert (one.text, one.start, one.right) == ("", None, True)


def test_what_cannot_be_explored_says_why(tmp_path, study):
    with pytest.raises(Incomplete, match="no study here"):
        read_index(tmp_path)
    moved = write_study(tmp_path / "s", ROWS, ANSWERS)
    (moved / "questions.jsonl").unlink()
    with pytest.raises(Incomplete, match="reported set"):
        read_index(moved)


def test_the_shelf_reads_in_the_background_and_again_when_answers_change(study, tmp_path):
    made = []

    def slowly(path):
        time.sleep(0.05)
        made.append(path)
        return read_index(path)

    written = write_study(tmp_path / "compare", ROWS[:1], {"lora": [["the Alps"]]})
    shelf = Shelf([study, written, study], slowly)
    assert list(shelf.folders) == ["compare", "compare-2"], "alike names are numbered, a study stands once"
    with pytest.raises(Unread):
        shelf.index("compare-2", patience=0)
    index = shelf.index("compare-2", patience=60)
    assert index is shelf.index("compare-2") and made == [written]
    shutil.rmtree(written)
    write_study(tmp_path / "compare", ROWS[:1], {"lora": [["Sea"]]})  # trained again
    assert not shelf.index("compare-2", patience=60).right.any()
    with pytest.raises(KeyError):
        shelf.index("../compare")


def test_a_broken_study_is_looked_at_again(tmp_path):
    study = write_study(tmp_path / "s", ROWS[:1], {"lora": [["the Alps"]]})
    moved = (study / "questions.jsonl").rename(tmp_path / "elsewhere")
    shelf = Shelf([study])
    with pytest.raises(Incomplete):
        shelf.index("s", patience=60)
    moved.rename(study / "questions.jsonl")
    assert len(shelf.index("s", patience=60)) == 1


def test_a_reader_that_fails_is_tried_again(study):
    failures = [KeyError("a field that a record lacks"), None]

    def read(path):
        if error := failures.pop(0):
            raise error
        return read_index(path)

    shelf = Shelf([study], read)
    with pytest.raises(KeyError, match="a field"):
        shelf.index("compare", patience=60)
    assert len(shelf.index("compare", patience=60)) == 4


def test_a_page_of_a_large_study_takes_milliseconds():
    """The issue allows 200 ms for 10,570 questions of 10 methods; a quarter of them here, by processor time."""
    index = made_up_index(questions=2_640, methods=10)
    every = [QuestionFilters(order=order, words="w1 w2") for order in ORDERS]
    every += [
        QuestionFilters(right=index.methods[:1], wrong=index.methods[1:2], kind="boundary"),
        QuestionFilters(who="differ", slice=list(SLICES)[-1]),
    ]
    index.find(every[0])
    slowest = 0.0
    for filters in every:
        begun = time.process_time()
        shown = [index.question(row) for row in index.find(filters).rows[:10].tolist()]
        slowest = max(slowest, time.process_time() - begun)
        assert all(len(one.answers) == 10 for one in shown)
    assert slowest < 0.1, f"{slowest:.3f} s"
