"""Every prediction is of one kind, and of the right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.data import Answer, Example
from spantune.scoring.error_kinds import KINDS, boundary_fault, error_kind, error_kinds, kind_counts, occurrences
from spantune.scoring.official_metrics import question_scores
from spantune.scoring.scores import score_runs

CONTEXT = "Ada Moor built the old mill. The mill of Moor burnt in 1841, the bridge in 1902."
ASKED = Example("who", "Who built the mill?", CONTEXT, (Answer("Ada Moor", 0),))
MILL = Example("what", "What did she build?", CONTEXT, (Answer("the old mill", 15), Answer("mill", 23)))
NONE = Example("none", "Who painted it?", CONTEXT)


def kind_of(example, answer, span=None):
    em, f1 = question_scores([example], {example.id: answer}, rules="v2.0")[example.id]
    return error_kind(example, answer, em, f1, span)


@pytest.mark.parametrize(
    ("example", "answer", "kind", "fault"),
    [
        (ASKED, "Ada Moor", "correct", "too long"),
        (ASKED, "the Ada Moor.", "correct", None),  # not in the context, but the scorer takes it
        (ASKED, "Ada Moor built", "boundary", "too long"),
        (ASKED, "Ada", "boundary", "too short"),
        (ASKED, "Moor built", "boundary", "shifted"),
        (ASKED, "Moor", "boundary", "too short"),  # it also stands elsewhere
        (ASKED, "mill of Moor", "partial", None),
        (ASKED, "1841", "elsewhere", None),
        (ASKED, "Moor the miller", "partial", None),  # nowhere in the context
        (ASKED, "nobody", "elsewhere", None),
        (ASKED, "", "empty", None),
        (ASKED, "  ", "empty", None),
        (MILL, "old mill", "correct", "too long"),
        (MILL, "built the old mill", "boundary", "too long"),
        (MILL, "the old", "boundary", "too short"),
        (NONE, "Ada", "wrongly answered", None),
        (NONE, "", "correct", None),
    ],
)
def test_kinds(example, answer, kind, fault):
    assert kind_of(example, answer) == kind
    if kind in ("boundary", "partial", "elsewhere"):
        assert boundary_fault(example, answer) == fault


def test_a_known_place_decides():
    at = CONTEXT.rindex("Moor")
    assert kind_of(ASKED, "Moor", (at, at + 4)) == "partial"
    assert kind_of(ASKED, "Moor", (4, 8)) == "boundary"
    assert boundary_fault(MILL, "x", (22, 28)) == "too long", "of `the old mill` and `mill` it is closer to the second"
    assert boundary_fault(MILL, "x", (19, 30)) == "shifted", "and here to the first"
    assert boundary_fault(ASKED, "x", (8, 10)) is None, "to touch is not to overlap"


def test_v11_scores_no_empty_answer_but_a_right_silence_is_right():
    assert error_kind(NONE, "", 0.0, 0.0) == "correct"


def test_occurrences():
    assert occurrences("aaa", "aa") == [(0, 2), (1, 3)]
    assert occurrences("aaa", "") == [] and occurrences("aaa", "b") == []


def test_counts_of_methods_and_runs():
    examples = (ASKED, MILL, NONE)
    right = {"who": "Ada Moor", "what": "mill", "none": ""}
    wrong = {"who": "Moor", "what": "built the old mill", "none": "Ada"}
    scores = score_runs(examples, {"a": [right, wrong], "b": [{"who": "", "what": "1841", "none": ""}]})
    first, second = kind_counts(scores)
    assert first.kinds == dict.fromkeys(KINDS, 0.0) | {"correct": 1.5, "boundary": 1.0, "wrongly answered": 0.5}
    assert first.faults == {"too long": 0.5, "too short": 0.5, "shifted": 0.0}
    assert second.kinds == dict.fromkeys(KINDS, 0.0) | {"correct": 1.0, "empty": 1.0, "elsewhere": 1.0}
    at = CONTEXT.rindex("Moor")
    placed, _ = kind_counts(scores, {"a": [{}, {"who": (at, at + 4)}]})
    assert (placed.kinds["boundary"], placed.kinds["partial"]) == (0.5, 0.5)
    assert placed.faults == {"too long": 0.5, "too short": 0.0, "shifted": 0.0}


WORDS = CONTEXT.split(" ")
ANSWERS = st.one_of(
    st.tuples(st.integers(0, 16), st.integers(1, 6)).map(lambda one: " ".join(WORDS[one[0] : one[0] + one[1]])),
    st.sampled_from(["", " ", "the", "?", "nobody", "moor mill"]),
)


@given(st.tuples(ANSWERS, ANSWERS, ANSWERS))
def test_exactly_one_kind_by_its_definition(given_answers):
    examples = (ASKED, MILL, NONE)
    scores = score_runs(examples, {"a": [dict(zip(("who", "what", "none"), given_answers, strict=True))]})
    (made,) = error_kinds(scores)
    assert made.shape == (1, 3)
    (counted,) = kind_counts(scores)
    assert sum(counted.kinds.values()) == 3 and sum(counted.faults.values()) == counted.kinds["boundary"]
    for example, text, em, f1, at in zip(
        examples, given_answers, scores.em[0], scores.f1[0], made[0].tolist(), strict=True
    ):
        said, in_place = bool(text.strip()), boundary_fault(example, text) is not None
        definitions = {
            "correct": em == 1 or not (said or example.answerable),
            "empty": em < 1 and example.answerable and not said,
            "wrongly answered": em < 1 and said and not example.answerable,
            "boundary": em < 1 and said and example.answerable and in_place,
            "partial": em < 1 and said and example.answerable and not in_place and f1 > 0,
            "elsewhere": em < 1 and said and example.answerable and not in_place and f1 == 0,
        }
        assert [kind for kind, holds in definitions.items() if holds] == [list(KINDS)[at]]
