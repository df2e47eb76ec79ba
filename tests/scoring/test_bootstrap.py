"""The bootstrap against plain loops over the same draws, against scipy's, and against the truth."""

import time

import numpy as np
import pytest

from spantune.scoring import bootstrap
from spantune.scoring.bootstrap import counts, intervals, resampled_means, units_of

VALUES = np.random.default_rng(1).random((60, 3))


def brute(values, contexts, resamples, seed):
    """Means of resamples in plain loops: draw contexts, gather their questions, take the mean."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(contexts == one) for one in np.unique(contexts)]
    made = []
    for _ in range(resamples):
        drawn = generator.integers(0, len(groups), len(groups))
        gathered = [question for group in drawn for question in groups[group]]
        made.append(sum(values[question] for question in gathered) / len(gathered))
    return np.array(made)


@pytest.mark.parametrize("size", [1, 4])
def test_equals_plain_loops(size):
    contexts = np.random.default_rng(2).permutation(np.arange(60) // size)  # contexts lie scattered, of equal size
    made = resampled_means(units_of(contexts, "context"), VALUES, resamples=40, seed=5)
    assert made.shape == (40, 1, 3)
    assert np.allclose(made[:, 0], brute(VALUES, contexts, 40, 5), rtol=0, atol=1e-8)


def test_equals_plain_loops_with_contexts_of_different_size():
    contexts = np.repeat(np.arange(15), np.arange(15) % 5 + 2)[:60]
    made = resampled_means(units_of(contexts), VALUES[: len(contexts)], resamples=40, seed=5)
    assert np.allclose(made[:, 0], brute(VALUES, contexts, 40, 5), rtol=0, atol=1e-8)


def test_every_resample_of_three_questions_is_possible():
    """Of the 27 draws of three from three, 8 leave the first out, 12 hold it once, 6 twice, 1 three times."""
    made = resampled_means(units_of(np.arange(3), "question"), np.array([[1.0], [0], [0]]), resamples=20_000)[:, 0, 0]
    shares = [np.mean(np.isclose(made, mean)) for mean in (0, 1 / 3, 2 / 3, 1)]
    assert shares == pytest.approx([8 / 27, 12 / 27, 6 / 27, 1 / 27], abs=0.01)


def test_counts_are_resamples_and_follow_the_seed(monkeypatch):
    whole = np.concatenate(list(counts(7, 50, seed=3)))
    assert whole.shape == (50, 7) and (whole.sum(axis=1) == 7).all()
    assert not np.array_equal(whole, np.concatenate(list(counts(7, 50, seed=4))))
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 21)
    parts = list(counts(7, 50, seed=3))
    assert len(parts) == 17
    assert np.array_equal(np.concatenate(parts), whole), "what is in memory at once changes nothing"


def test_agrees_with_scipy_in_distribution():
    from scipy import stats

    values = np.random.default_rng(3).beta(0.4, 0.3, size=200)
    ours = resampled_means(units_of(np.arange(200)), values[:, None], resamples=5000)[:, 0]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(9))
    assert stats.ks_2samp(ours[:, 0], theirs.bootstrap_distribution).pvalue > 0.01
    (interval,) = intervals(ours)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert interval == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width)


def test_differences_agree_with_scipys_paired_bootstrap():
    from scipy import stats

    generator = np.random.default_rng(4)
    one = generator.random(150)
    other = one + generator.normal(0.05, 0.2, 150)
    made = resampled_means(units_of(np.arange(150)), np.stack([one, other], axis=1), resamples=5000)[:, 0]
    (ours,) = intervals((made[:, 0] - made[:, 1])[:, None])
    theirs = stats.bootstrap(
        (one, other),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        vectorized=True,
        n_resamples=5000,
        method="percentile",
        rng=np.random.default_rng(9),
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.05 * (theirs.high - theirs.low))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """60 contexts of three questions whose difficulty they share; single questions would promise too much."""
    generator, hits = np.random.default_rng(5), {"context": 0, "question": 0}
    contexts = np.repeat(np.arange(60), 3)
    for trial in range(300):
        values = (generator.random(180) < generator.beta(1.2, 0.8, 60)[contexts]).astype(float)[:, None]
        for unit in hits:
            drawn = resampled_means(units_of(contexts, unit), values, resamples=300, seed=trial)[:, 0]
            (interval,) = intervals(drawn)
            hits[unit] += interval.low <= 0.6 <= interval.high
    assert 0.91 <= hits["context"] / 300 <= 0.98
    assert hits["question"] / 300 < 0.9


def test_repeated_questions_on_a_context_are_no_evidence():
    """Every question asked four times on its context: the interval stays, and by questions it would halve."""
    contexts, values = np.repeat(np.arange(60), 4), np.repeat(VALUES[:, :1], 4, axis=0)
    alone = resampled_means(units_of(np.arange(60)), VALUES[:, :1], resamples=500)
    assert np.allclose(resampled_means(units_of(contexts), values, resamples=500), alone)
    by_question = resampled_means(units_of(contexts, "question"), values, resamples=500)
    assert by_question.std() == pytest.approx(alone.std() / 2, rel=0.15)


def test_the_order_of_columns_changes_no_bit():
    contexts = np.arange(60) // 4
    order = [2, 0, 1]
    made = resampled_means(units_of(contexts), VALUES, resamples=100)
    assert np.array_equal(resampled_means(units_of(contexts), VALUES[:, order], resamples=100), made[..., order])
    shuffled = np.random.default_rng(6).permutation(60)
    sums = units_of(contexts).sums(VALUES)
    assert np.array_equal(units_of(contexts[shuffled]).sums(VALUES[shuffled]), sums), "nor does that of questions"
    assert np.allclose(sums, VALUES.reshape(15, 4, 3).sum(axis=1))


@pytest.mark.parametrize(
    ("contexts", "asked", "unit", "note"),
    [
        (range(10), None, "context", None),
        ([0, 1, 2] * 10, None, "question", "only 3 contexts: the intervals are about further questions"),
        ([0, 1, 2] * 10, "question", "question", None),
        ([0, 1, 2] * 10, "context", "context", None),
        (range(4), None, "question", "only 4 questions"),
    ],
)
def test_what_is_drawn(contexts, asked, unit, note):
    units = units_of(np.array(contexts), asked)
    assert units.unit == unit
    assert units.count == (len(set(contexts)) if unit == "context" else len(contexts))
    assert (units.note is None) if note is None else units.note.startswith(note)


def test_means_over_sets_of_questions():
    contexts = np.arange(60) // 4
    inside = np.stack([np.ones(60, dtype=bool), np.arange(60) % 3 == 0, np.arange(60) < 4])
    made = resampled_means(units_of(contexts), VALUES, inside, resamples=200, seed=2)
    assert made.shape == (200, 3, 3)
    assert np.array_equal(made[:, :1], resampled_means(units_of(contexts), VALUES, resamples=200, seed=2))
    drawn = np.concatenate(list(counts(15, 200, seed=2)))[:, contexts]  # how often each question is there
    which = inside[1]
    assert np.allclose(made[:, 1], drawn[:, which] @ VALUES[which] / drawn[:, which].sum(axis=1)[:, None])
    missed = np.isnan(made[:, 2, 0])
    assert np.array_equal(missed, drawn[:, 0] == 0) and 0.2 < missed.mean() < 0.5
    assert np.allclose(made[~missed, 2], VALUES[:4].mean(axis=0)), "one context has one mean"
    assert intervals(made[:, 2]) == [pytest.approx((mean, mean)) for mean in VALUES[:4].mean(axis=0)]


def test_an_interval_of_nothing_is_nan():
    assert np.isnan(intervals(np.full((5, 1), np.nan))).all()


def test_ten_methods_on_squads_development_set_take_about_a_second():
    generator = np.random.default_rng(7)
    contexts = np.sort(generator.integers(0, 2067, 10_570))
    units, values = units_of(contexts), generator.random((10_570, 20))
    began = time.process_time()
    assert resampled_means(units, values).shape == (10_000, 1, 20)
    assert time.process_time() - began < 6, "it takes 0.5 seconds of one core"
