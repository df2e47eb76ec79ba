"""Predictions to arrays, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spantune.data import Answer, Example
from spantune.errors import DataError
from spantune.scoring.official_metrics import question_scores, score
from spantune.scoring.scores import refuse_other_questions, score_runs

CONTEXT = "Ada Moor built the old mill in 1841."
EXAMPLES = (
    Example("who", "Who built it?", CONTEXT, (Answer("Ada Moor", 0), Answer("Moor", 4))),
    Example("when", "When?", CONTEXT, (Answer("1841", 31),)),
    Example("bare", "What?", "Another text.", (Answer("text", 8),)),
)
NONE = Example("none", "Why?", CONTEXT)
RIGHT = {"who": "Moor", "when": "1841", "bare": "text"}
HALF = {"who": "Ada Moor built", "when": "in 1841", "bare": ""}


def test_scores_by_method_run_and_question():
    made = score_runs(EXAMPLES, {"a": [RIGHT, HALF], "b": [HALF]})
    assert made.methods == ("a", "b")
    assert made.answers == (
        (("Moor", "1841", "text"), ("Ada Moor built", "in 1841", "")),
        (("Ada Moor built", "in 1841", ""),),
    )
    assert made.em_runs[0].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert made.f1_runs[1].tolist() == [[pytest.approx(0.8), pytest.approx(2 / 3), 0]]
    assert made.em.tolist() == [[0.5, 0.5, 0.5], [0, 0, 0]]
    assert made.f1[0].tolist() == pytest.approx([0.9, 5 / 6, 0.5])
    assert made.right.tolist() == [[False] * 3, [False] * 3], "half of the runs are not most of them"
    assert made.contexts.tolist() == [0, 0, 1]
    assert made.columns.tolist() == [[*em, *f1] for em, f1 in zip(made.em.T, made.f1.T, strict=True)]


ANSWERS = st.sampled_from(["", "Moor", "Ada Moor", "the", "1841", "in 1841", "mill mill"])


@settings(deadline=None)
@given(st.lists(st.tuples(ANSWERS, ANSWERS, ANSWERS, ANSWERS), min_size=1, max_size=5), st.booleans())
def test_every_run_has_the_scorers_numbers(rows, with_unanswerable):
    asked = (*EXAMPLES, NONE) if with_unanswerable else EXAMPLES
    runs = [dict(zip((one.id for one in asked), row, strict=False)) for row in rows]
    made = score_runs(asked, {"a": runs[:1], "b": runs})
    for number, run in enumerate(runs):
        expected = question_scores(asked, run)
        assert made.em_runs[1][number].tolist() == [expected[one.id][0] for one in asked]
        assert made.f1_runs[1][number].tolist() == [expected[one.id][1] for one in asked]
        assert 100 * made.f1_runs[1][number].mean() == pytest.approx(score(asked, run)["f1"])
    assert np.array_equal(made.em_runs[0], made.em_runs[1][:1])


def test_the_rules_are_those_of_the_whole_set():
    """Answerable questions follow v2.0, too, where another has no answer; `rules` overrides."""
    odd = Example("odd", "What?", "a, b", (Answer(",", 1),))
    run = {"odd": ",", "none": ""}
    assert score_runs((odd, NONE), {"a": [run]}).f1_runs[0].tolist() == [[1.0, 1.0]]
    assert score_runs((odd, NONE), {"a": [run]}, rules="v1.1").f1_runs[0].tolist() == [[0.0, 0.0]]
    assert score_runs((odd,), {"a": [{"odd": ","}]}).f1_runs[0].tolist() == [[0.0]]


def test_predictions_of_other_questions_are_named():
    other = {"who": "x", "new1": "x", "new2": "x", "new3": "x", "new4": "x"}
    with pytest.raises(DataError) as caught:
        score_runs(EXAMPLES, {"lora": [RIGHT, other], "full": [RIGHT, {**RIGHT, "more": ""}]})
    text = str(caught.value)
    assert "different questions (2 of 4 runs differ: 'lora, run 2', 'full, run 2')" in text
    assert caught.value.where == "lora, run 2"
    assert "2 without an answer: 'when', 'bare'; 4 that are not among them: 'new1', 'new2', 'new3', …" in text
    with pytest.raises(DataError, match="different questions\n  where:    full\n") as caught:
        score_runs(EXAMPLES, {"lora": [RIGHT], "full": [{**RIGHT, "more": ""}]})
    assert caught.value.found == "1 that are not among them: 'more'"


def test_the_order_of_ids_does_not_matter():
    refuse_other_questions(["a", "b"], {"x": {"b": "", "a": ""}})


@pytest.mark.parametrize(
    ("examples", "answers", "found"),
    [
        ((), {"a": [{}]}, "0 questions, 1 of 1 methods with a run"),
        (EXAMPLES, {}, "3 questions, 0 of 0"),
        (EXAMPLES, {"a": [RIGHT], "b": []}, "1 of 2"),
    ],
)
def test_nothing_to_compare(examples, answers, found):
    with pytest.raises(DataError, match="nothing to compare") as caught:
        score_runs(examples, answers)
    assert found in caught.value.found
