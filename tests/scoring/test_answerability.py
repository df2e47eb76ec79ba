"""Null odds against brute force, by hand, and against what made them."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.data import Answer, Example
from spantune.errors import DataError
from spantune.scoring.answerability import (
    NullFit,
    auc,
    best_threshold,
    calibration_error,
    fit_null,
    fit_temperature,
    null_probability,
    null_scores,
    odds_of,
    risk_coverage,
    threshold_curve,
    unanswerable,
)
from spantune.scoring.official_metrics import score

WITH = [Example(f"a{at}", "What?", "Ada Moor built it.", (Answer("Ada Moor", 0),)) for at in range(4)]
WITHOUT = [Example(f"n{at}", "What?", "Ada Moor built it.") for at in range(3)]
EXAMPLES = (*WITH, *WITHOUT)
SPANS = {"a0": "Ada Moor", "a1": "Ada", "a2": "built", "a3": "Ada Moor", "n0": "it", "n1": "Ada", "n2": "Moor"}
ODDS = {"a0": -3.0, "a1": -1.0, "a2": 0.5, "a3": 2.0, "n0": -2.0, "n1": 1.0, "n2": 3.0}
SOME_ODDS = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 2.0]), min_size=7, max_size=7)


# The threshold


@given(SOME_ODDS)
def test_the_curve_is_the_score_at_every_threshold(values):
    odds = dict(zip(ODDS, values, strict=True))
    curve = threshold_curve(EXAMPLES, SPANS, odds)
    assert curve.thresholds.tolist() == [-np.inf, *sorted(set(values))]
    for threshold, em, f1 in zip(curve.thresholds.tolist(), curve.em, curve.f1, strict=True):
        expected = score(EXAMPLES, SPANS, odds, threshold, "v2.0")
        assert (em, f1) == pytest.approx((expected["exact_match"], expected["f1"]))


@given(st.permutations(list(ODDS.values())))
def test_the_best_threshold_is_the_official_one_where_odds_differ(values):
    odds = dict(zip(ODDS, values, strict=True))
    best = best_threshold(threshold_curve(EXAMPLES, SPANS, odds))
    official = score(EXAMPLES, SPANS, odds, float("inf"), "v2.0")
    assert score(EXAMPLES, SPANS, odds, best, "v2.0")["f1"] == pytest.approx(official["best_f1"])
    last = official["best_f1_thresh"]
    behind = min((one for one in values if one > last), default=last)
    assert best in ((last + behind) / 2, min(values) - 1), "as far from the last answered as from the next"


def test_best_to_answer_nothing_is_a_threshold_below_all_odds():
    """The official scorer calls it 0, which would answer what has odds below 0."""
    odds = {key: -5.0 for key in ODDS}
    nothing = dict.fromkeys(SPANS, "built")
    best = best_threshold(threshold_curve(EXAMPLES, nothing, odds))
    assert best == -6.0 and score(EXAMPLES, nothing, odds, best, "v2.0")["f1"] == pytest.approx(300 / 7)
    assert score(EXAMPLES, nothing, odds, float("inf"), "v2.0")["best_f1_thresh"] == 0.0


def test_odds_that_are_missing():
    assert odds_of(EXAMPLES, ODDS).tolist() == list(ODDS.values())
    with pytest.raises(DataError, match="2 of 7 questions have no null odds\n  where:    id 'a1'"):
        odds_of(EXAMPLES, {key: 0.0 for key in ODDS if key not in ("a1", "n2")})


# As a classifier


def test_auc_by_hand():
    # a0 < n0 < a1 < a2 < n1 < a3 < n2: of the four with an answer, n0 is above 1, n1 above 3, n2 above 4.
    assert auc(odds_of(EXAMPLES, ODDS), unanswerable(EXAMPLES)) == pytest.approx(8 / 12)
    assert auc([1, 2, 3], [False, False, True]) == 1.0
    assert auc([5, 5, 5], [False, False, True]) == 0.5
    assert auc([1, 2], [True, True]) is None and auc([1], [False]) is None


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_counts_pairs_and_halves_ties(rows):
    positives, negatives = ([value for value, which in rows if which is kind] for kind in (True, False))
    made = auc([value for value, _ in rows], [which for _, which in rows])
    if not positives or not negatives:
        assert made is None
        return
    pairs = [(one > other) + 0.5 * (one == other) for one in positives for other in negatives]
    assert made == pytest.approx(sum(pairs) / len(pairs))


def test_auc_takes_infinite_odds():
    assert auc([-np.inf, 0.0, np.inf], [False, False, True]) == 1.0


# Risk and coverage


def test_risk_coverage_by_hand():
    made = risk_coverage([0.9, 0.1, 0.5, 0.7], [0, 1, 1, 0])
    assert made.tolist() == pytest.approx([0, 0, 1 / 3, 0.5])
    worst = risk_coverage([0.1, 0.9, 0.5, 0.2], [0, 1, 1, 0])
    assert worst.tolist() == pytest.approx([1, 1, 2 / 3, 0.5])


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=6))
def test_equal_confidence_is_the_mean_over_all_orders(rows):
    confidence, loss = zip(*rows, strict=True)
    curves = [
        np.cumsum([loss[at] for at in order]) / np.arange(1, len(rows) + 1)
        for order in permutations(range(len(rows)))
        if all(confidence[one] >= confidence[other] for one, other in pairwise(order))
    ]
    made = risk_coverage(confidence, loss)
    assert made == pytest.approx(np.mean(curves, axis=0))
    assert risk_coverage([-one for one in loss], loss).mean() <= made.mean() + 1e-12


# Calibration


def test_the_temperature_that_made_the_odds_is_found():
    generator = np.random.default_rng(0)
    honest = generator.normal(0, 2, 20_000)
    happened = generator.random(20_000) < null_probability(honest)
    assert fit_temperature(honest, happened) == pytest.approx(1.0, rel=0.05)
    assert fit_temperature(3 * honest, happened) == pytest.approx(3.0, rel=0.05)
    assert calibration_error(null_probability(3 * honest), happened) > 0.1
    assert calibration_error(null_probability(3 * honest, 3.0), happened) < 0.015


def test_the_temperature_has_the_highest_likelihood_of_a_grid():
    generator = np.random.default_rng(1)
    odds, happened = generator.normal(0, 3, 60), generator.random(60) < 0.4
    found = fit_temperature(odds, happened)

    def loss(temperature):
        return np.mean(np.logaddexp(0, np.where(happened, -odds, odds) / temperature))

    assert all(loss(found) <= loss(other) + 1e-9 for other in np.geomspace(0.02, 90, 200))


def test_odds_without_an_error_or_without_sense():
    assert fit_temperature([-1.0, 2.0], [False, True]) == pytest.approx(0.01, rel=0.05), "as sure as can be"
    assert fit_temperature([1.0, -2.0], [False, True]) == pytest.approx(100, rel=0.05), "as unsure as can be"


def test_infinite_odds_do_not_rule_the_fit():
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 4, 2000)
    happened = generator.random(2000) < null_probability(odds, 2.0)
    largest = np.finfo(float).max
    with_infinite = fit_temperature(np.r_[odds, np.inf, largest], np.r_[happened, True, True])
    assert with_infinite == pytest.approx(fit_temperature(odds, happened), rel=0.01)
    with_error = fit_temperature(np.r_[odds, largest], np.r_[happened, False])
    assert with_infinite < with_error < 1.5 * with_infinite
    assert null_probability([np.inf, -np.inf, 0.0]).tolist() == pytest.approx([1.0, 0.0, 0.5])


def test_a_split_of_one_kind_is_refused():
    with pytest.raises(DataError, match="temperature cannot be fitted") as caught:
        fit_temperature([1.0, 2.0], [False, False])
    assert caught.value.found == "0 of 2 without"


def test_calibration_error_by_hand():
    made = calibration_error([0.1, 0.15, 0.6, 0.9, 1.0], [False, True, True, True, False], bins=4)
    # Gaps 0.375, 0.4 and 0.45, by size 2 (below 0.25), 1 (0.5 to 0.75) and 2 (from 0.75, 1 included).
    assert made == pytest.approx((2 * 0.375 + 0.4 + 2 * 0.45) / 5)
    assert calibration_error([0.0, 1.0], [False, True]) == 0.0


# As a run keeps it


def test_what_is_fitted_on_the_selection_split():
    fit = fit_null(EXAMPLES, SPANS, ODDS)
    assert fit.threshold == best_threshold(threshold_curve(EXAMPLES, SPANS, ODDS))
    assert fit.temperature == fit_temperature(odds_of(EXAMPLES, ODDS), unanswerable(EXAMPLES)) != 1
    assert fit_null(WITH, SPANS, ODDS).temperature == 1, "of one kind of question no confidence can be learned"


def test_the_scores_are_of_the_answers_at_the_fitted_threshold():
    found = null_scores(EXAMPLES, SPANS, ODDS, NullFit(0.75, 2.0))
    # F1: a0 1, a1 2/3, a2 0, a3 withdrawn 0; n0 answered 0, n1 and n2 withdrawn 1. Distances from 0.75:
    # a0 3.75, n0 2.75, n2 2.25, a1 1.75, a3 1.25, then a2 and n1 0.25 each.
    losses = [0, 1, 0, 1 / 3, 1, 0.5, 0.5]
    assert found["risk_coverage_area"] == pytest.approx(np.mean([np.mean(losses[: k + 1]) for k in range(7)]))
    ranked = [0, 0, 0, 1 / 3, 1, 1, 1]
    assert found["risk_coverage_best"] == pytest.approx(np.mean([np.mean(ranked[: k + 1]) for k in range(7)]))
    assert found["null_auc"] == pytest.approx(8 / 12)
    assert (found["null_threshold"], found["null_temperature"]) == (0.75, 2.0)
    before, after = (
        calibration_error(null_probability(odds_of(EXAMPLES, ODDS), temperature), unanswerable(EXAMPLES))
        for temperature in (1.0, 2.0)
    )
    assert found["calibration_error"] == before != after == found["calibration_error_scaled"]
    assert "null_auc" not in null_scores(WITH, SPANS, ODDS, NullFit(0.75))
