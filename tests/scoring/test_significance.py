"""p-values, Holm's correction, and groups of tied methods."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.scoring.bootstrap import resampled_means, units_of
from spantune.scoring.significance import holm, letters, p_value, ranks


def resampled(differences, resamples=2000, seed=0):
    units = units_of(np.arange(len(differences)), "question")
    shifted = (np.asarray(differences, dtype=float)[:, None] + 1) / 2  # the bootstrap takes 0 to 1
    return 2 * resampled_means(units, shifted, resamples=resamples, seed=seed)[:, 0, 0] - 1


def test_p_value_by_hand():
    # 0.5 and -0.1 are 0.3 or more away from 0.2, as 0.2 is from 0.
    assert p_value(0.2, np.array([0.5, 0.3, -0.1, 0.2])) == pytest.approx(3 / 5)
    assert p_value(0.3, np.array([0.5, 0.3, 0.0, 0.2])) == pytest.approx(2 / 5)
    assert p_value(-0.3, -np.array([0.5, 0.3, 0.0, 0.2])) == pytest.approx(2 / 5)


def test_no_p_value_is_below_what_the_resamples_can_show():
    assert p_value(0.5, resampled([0.5] * 40)) == 1 / 2001


def test_equal_predictions_have_p_1():
    assert p_value(0.0, np.zeros(100)) == 1.0


def test_rounding_does_not_decide():
    assert p_value(0.1 + 0.2, np.full(9, 2 * 0.3)) == 1.0


def test_few_differing_questions_are_weak_evidence():
    """Six questions of 1,000 differ, all won by one side: the exact sign test says 0.03."""
    from scipy import stats

    differences = np.r_[np.ones(6), np.zeros(994)]
    drawn = resampled(differences, 10_000)
    exact = stats.binomtest(6, 6).pvalue
    other_sign = 2 * np.mean(drawn <= 0)
    assert exact == pytest.approx(0.031, abs=0.001)
    assert p_value(0.006, drawn) == pytest.approx(0.022, abs=0.005)
    assert other_sign == pytest.approx(0.005, abs=0.003)


def test_equal_methods_are_rarely_called_different():
    generator, found = np.random.default_rng(1), 0
    for trial in range(400):
        one, other = generator.random((2, 80)) < 0.6
        differences = one.astype(float) - other
        found += p_value(differences.mean(), resampled(differences, 200, trial)) <= 0.05
    assert 0.02 <= found / 400 <= 0.085


def test_holm_by_hand():
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_between_the_raw_value_and_bonferronis(raw):
    adjusted = holm(raw)
    for one, other in zip(raw, adjusted, strict=True):
        assert one <= other <= min(1.0, one * len(raw)) + 1e-12
    assert all(adjusted[a] <= adjusted[b] for a in range(len(raw)) for b in range(len(raw)) if raw[a] <= raw[b])


def test_ranks_and_letters_by_hand():
    # 0 beats 2 and 3, 1 beats 3: 1 is tied with 0 and with 2, 2 with 3.
    beats = [(0, 2), (0, 3), (1, 3)]
    assert ranks(4, beats) == [1, 1, 2, 2]
    assert letters(4, beats) == ["a", "ab", "bc", "c"]
    assert ranks(3, []) == [1, 1, 1] and letters(3, []) == ["a", "a", "a"]
    assert ranks(3, [(0, 1), (1, 2)]) == [1, 2, 3], "a chain, although 0 and 2 are tied"
    assert letters(3, [(0, 1), (1, 2)]) == ["a", "b", "a"]
    assert letters(1, []) == ["a"]


def test_more_groups_than_letters():
    everything = [(one, other) for one in range(30) for other in range(one + 1, 30)]
    made = letters(30, everything)
    assert (made[0], made[25], made[26], len(set(made))) == ("a", "z", "a1", 30)


PAIRS = st.integers(1, 7).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1]))
        if count > 1
        else st.just(set()),
    )
)


@given(PAIRS)
def test_ranks_keep_the_order_and_group_only_the_tied(drawn):
    count, beats = drawn
    made = ranks(count, beats)
    assert all(made[better] < made[worse] for better, worse in beats)
    for worse in range(count):
        assert made[worse] == 1 or any(made[better] == made[worse] - 1 for better, one in beats if one == worse)


@given(PAIRS)
def test_a_shared_letter_means_tied_and_nothing_else(drawn):
    count, differing = drawn
    made = letters(count, differing)
    for one in range(count):
        for other in range(one + 1, count):
            assert bool(set(made[one]) & set(made[other])) == ((one, other) not in differing)
    assert made[0].startswith("a")
