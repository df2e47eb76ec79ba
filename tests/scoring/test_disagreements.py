"""Who is right where another is wrong, and which questions tell methods apart."""

from dataclasses import replace

import pytest
from made_scores import questions, scores_of

from spantune.scoring.disagreements import disagreements, only_first_right, right_and_wrong

# Questions: all right, a alone, b alone, all wrong, a and b.
EM = {"a": [[1, 1, 0, 0, 1]], "b": [[1, 0, 1, 0, 1]], "c": [[1, 0, 0, 0, 0]]}
F1 = {"a": [[1, 1, 0.5, 0, 1]], "b": [[1, 0, 1, 0.4, 1]], "c": [[1, 0, 0.5, 0, 0]]}
SCORES = scores_of(EM, F1)


def test_counts_of_pairs():
    assert right_and_wrong(SCORES).tolist() == [[0, 1, 2], [1, 0, 2], [0, 0, 0]]


def test_the_most_telling_first():
    made = disagreements(SCORES)
    assert [one.id for one in made] == ["q1", "q4", "q2", "q3"], "q0 tells nothing"
    assert made[0].spread == pytest.approx(100 * (2 / 9) ** 0.5)
    assert (made[0].right, made[0].wrong) == (("a",), ("b", "c"))
    assert (made[1].right, made[1].wrong) == (("a", "b"), ("c",))
    assert (made[3].right, made[3].wrong) == ((), ("a", "b", "c")), "nobody matches exactly, but b shares words"
    assert [one.question for one in disagreements(SCORES, limit=2)] == [1, 4]


def test_among_equals_the_shorter_context_comes_first():
    asked = list(questions(range(5)))
    asked[1] = replace(asked[1], context=asked[1].context * 9)
    assert [one.id for one in disagreements(scores_of(EM, F1, examples=asked))][:2] == ["q4", "q1"]


def test_equal_f1_may_still_disagree_in_em():
    scores = scores_of({"a": [[1, 0]], "b": [[0, 0]]}, {"a": [[0, 0]], "b": [[0, 0]]})
    assert [one.id for one in disagreements(scores)] == ["q0"]


def test_questions_that_only_one_of_two_gets_right():
    assert [one.id for one in only_first_right(SCORES, "a", "c")] == ["q1", "q4"]
    assert [one.id for one in only_first_right(SCORES, "b", "a")] == ["q2"]
    assert [one.id for one in only_first_right(SCORES, "a", "c", limit=1)] == ["q1"]
    assert only_first_right(SCORES, "c", "a") == []
    with pytest.raises(ValueError):
        only_first_right(SCORES, "a", "unknown")


def test_a_method_is_right_where_most_of_its_runs_are():
    scores = scores_of({"a": [[1, 1], [1, 0], [0, 0]], "b": [[0, 1], [1, 1], [0, 1]]})
    assert right_and_wrong(scores).tolist() == [[0, 1], [1, 0]]
