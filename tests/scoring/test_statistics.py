"""Methods compared: by hand, whatever the order, and no surer than the data."""

import math

import numpy as np
import pytest
from made_scores import scores_of

from spantune.scoring.bootstrap import intervals, resampled_means, units_of
from spantune.scoring.statistics import Estimate, compare, estimate

GENERATOR = np.random.default_rng(0)
EASE = GENERATOR.random(200)
GOOD, ALSO_GOOD, BAD = ((GENERATOR.random(200) < share * EASE).astype(float) for share in (1.5, 1.5, 0.7))
CONTEXTS = np.arange(200) // 4
STUDY = scores_of({"bad": [BAD], "good": [GOOD], "also": [ALSO_GOOD], "twin": [GOOD]}, contexts=CONTEXTS)


@pytest.fixture(scope="module")
def compared():
    return compare(STUDY, resamples=2000)


def test_one_run_has_no_deviation():
    alone = estimate([41.0])
    assert alone == Estimate(41.0, None, 1)
    assert "cannot be known" in alone.unknown
    two = estimate([40.0, None, 42.0])
    assert two == Estimate(41.0, pytest.approx(math.sqrt(2)), 2) and two.unknown is None
    assert estimate([None]) is None


def test_scores_with_intervals(compared):
    by_name = {one.method: one for one in compared.standings}
    assert by_name["good"].em.mean == pytest.approx(100 * GOOD.mean())
    assert by_name["good"].f1.over_runs == Estimate(pytest.approx(100 * GOOD.mean()), None, 1)
    drawn = resampled_means(units_of(CONTEXTS), BAD[:, None], resamples=2000, seed=0)[:, 0]
    assert by_name["bad"].em.interval == pytest.approx(tuple(intervals(100 * drawn)[0]))
    assert (compared.questions, compared.contexts, compared.unit, compared.notes) == (200, 50, "context", ())


def test_equal_predictions_are_tied_for_certain(compared):
    twins = compared.difference("twin", "good")
    assert (twins.points, tuple(twins.interval), twins.p, twins.p_holm) == (0.0, (0.0, 0.0), 1.0, 1.0)
    assert compared.tied("good", "twin") and not twins.significant
    marks = {one.method: (one.rank, one.letters) for one in compared.standings}
    assert marks["good"] == marks["twin"] == marks["also"] == (1, "a")
    assert marks["bad"] == (2, "b")


def test_the_table_is_ordered_by_group(compared):
    assert [one.rank for one in compared.standings] == [1, 1, 1, 2]
    assert [one.method for one in compared.standings][-1] == "bad"
    place = {one.method: at for at, one in enumerate(compared.standings)}
    assert len(compared.differences) == 12
    assert all(place[one.first] < place[one.second] for one in compared.differences)


def test_a_difference_against_plain_loops(compared):
    made = compared.difference("bad", "good", "em")
    assert (made.first, made.second) == ("good", "bad")
    generator, drawn = np.random.default_rng(0), []
    groups = (GOOD - BAD).reshape(50, 4)
    for _ in range(2000):
        drawn.append(100 * groups[generator.integers(0, 50, 50)].mean())
    assert made.points == pytest.approx(100 * (GOOD - BAD).mean())
    assert made.interval == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    far = sum(abs(one - made.points) >= abs(made.points) - 1e-9 for one in drawn)
    assert made.p == pytest.approx((1 + far) / 2001)
    assert made.p_holm == pytest.approx(min(1, 6 * made.p)), "six pairs, and the smallest p-value"
    with pytest.raises(KeyError):
        compared.difference("good", "unknown")


def test_the_order_of_methods_changes_nothing(compared):
    again = scores_of({"twin": [GOOD], "also": [ALSO_GOOD], "bad": [BAD], "good": [GOOD]}, contexts=CONTEXTS)
    assert compare(again, resamples=2000) == compared


def test_the_seed_decides(compared):
    assert compare(STUDY, resamples=2000) == compared
    other = compare(STUDY, resamples=2000, seed=1)
    assert other.standings[0].f1.interval != compared.standings[0].f1.interval
    assert other.standings[0].f1.interval == pytest.approx(compared.standings[0].f1.interval, abs=1.5)


def test_runs_count_by_their_mean_on_each_question():
    several = {"a": [GOOD, BAD, GOOD], "b": [ALSO_GOOD, BAD]}
    made = compare(scores_of(several, contexts=CONTEXTS), resamples=500)
    means = {"a": [np.mean([GOOD, BAD, GOOD], axis=0)], "b": [np.mean([ALSO_GOOD, BAD], axis=0)]}
    once = compare(scores_of(means, contexts=CONTEXTS), resamples=500)
    assert [one.f1.interval for one in made.standings] == [one.f1.interval for one in once.standings]
    assert made.differences[0].p == once.differences[0].p
    a = next(one for one in made.standings if one.method == "a").em
    assert a.over_runs == estimate([100 * one.mean() for one in (GOOD, BAD, GOOD)])
    assert a.mean == pytest.approx(100 * means["a"][0].mean())
    difference = made.difference("a", "b", "em")
    wins = sum(x.mean() > y.mean() for x in (GOOD, BAD, GOOD) for y in (ALSO_GOOD, BAD))
    assert difference.run_pairs == 6
    assert difference.runs_above == (wins if difference.first == "a" else 6 - wins - 1)  # BAD equals BAD once


def test_the_metric_that_ranks_is_the_one_asked_for():
    scores = scores_of({"a": [GOOD], "b": [BAD]}, {"a": [BAD], "b": [GOOD]}, contexts=CONTEXTS)
    assert [one.method for one in compare(scores, resamples=500).standings] == ["b", "a"]
    by_em = compare(scores, ranked_by="em", resamples=500)
    assert [(one.method, one.rank, one.letters) for one in by_em.standings] == [("a", 1, "a"), ("b", 2, "b")]
    assert not by_em.tied("a", "b")
    level = scores_of({"a": [GOOD], "b": [BAD]}, {"a": [BAD], "b": [BAD]}, contexts=CONTEXTS)
    assert [one.letters for one in compare(level, resamples=500).standings] == ["a", "a"]


def test_a_beaten_method_stands_below_a_tied_one_of_lower_mean():
    """`close` is `best` but for 14 questions, `other` is right elsewhere: a larger difference, and a less sure one."""
    best = np.r_[np.ones(120), np.zeros(80)]
    close, other = np.r_[np.ones(106), np.zeros(94)], np.r_[np.zeros(60), np.ones(104), np.zeros(36)]
    made = compare(scores_of({"other": [other], "close": [close], "best": [best]}), resamples=2000)
    assert [(one.method, one.rank, one.letters) for one in made.standings] == [
        ("best", 1, "a"),
        ("other", 1, "ab"),
        ("close", 2, "b"),
    ]
    assert made.standings[1].f1.mean < made.standings[2].f1.mean


def test_more_pairs_are_resampled_more_often():
    """Holm's correction multiplies the smallest p-value by the number of pairs: 15 methods have 105."""
    scores = scores_of({f"m{at:02}": [np.roll(GOOD, at)] for at in range(15)}, contexts=CONTEXTS)
    assert compare(scores).resamples == 10_500
    assert compare(STUDY).resamples == 10_000


def test_few_contexts_are_said():
    made = compare(scores_of({"a": [GOOD], "b": [BAD]}, contexts=np.arange(200) % 5), resamples=200)
    assert made.unit == "question" and "only 5 contexts" in made.notes[0]


def test_one_method_has_nothing_to_differ_from():
    made = compare(scores_of({"a": [GOOD]}), resamples=200)
    assert made.differences == () and made.standings[0].letters == "a"
