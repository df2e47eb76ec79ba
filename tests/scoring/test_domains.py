"""The drop from one set to another."""

import numpy as np
import pytest
from made_scores import scores_of

from spantune.errors import DataError
from spantune.scoring.domains import drop_scores, drops

GENERATOR = np.random.default_rng(0)
HERE = {name: [(GENERATOR.random(150) < 0.8).astype(float)] for name in "ab"}
THERE = {name: [(GENERATOR.random(300) < 0.5).astype(float)] for name in "ab"}


def test_the_drop_and_its_interval():
    made = drops(scores_of(HERE), scores_of(THERE), resamples=4000)
    assert [(one.method, one.metric) for one in made] == [("a", "em"), ("b", "em"), ("a", "f1"), ("b", "f1")]
    first = made[0]
    assert first.points == pytest.approx(100 * (HERE["a"][0].mean() - THERE["a"][0].mean()))
    # Two independent means: the variances add up.
    error = 100 * np.sqrt(HERE["a"][0].var() / 150 + THERE["a"][0].var() / 300)
    assert first.interval == pytest.approx((first.points - 1.96 * error, first.points + 1.96 * error), abs=0.1 * error)


def test_a_set_against_itself_is_not_certain():
    """The draws of the two are not the same ones."""
    made = drops(scores_of(HERE), scores_of(HERE), resamples=500)[0]
    assert made.points == 0 and made.interval.high - made.interval.low > 10


def test_other_methods_are_refused():
    with pytest.raises(DataError, match="same methods") as caught:
        drops(scores_of(HERE), scores_of({"a": THERE["a"]}))
    assert (caught.value.expected, caught.value.found) == ("a, b", "a")


def test_the_drop_as_a_run_keeps_it():
    one, other = (scores_of({"a": scores["a"]}) for scores in (HERE, THERE))
    kept = drop_scores(one, other)
    assert list(kept) == [f"{metric}_drop{end}" for metric in ("em", "f1") for end in ("", "_low", "_high")]
    first = drops(one, other)[0]
    assert (kept["em_drop"], kept["em_drop_low"], kept["em_drop_high"]) == (first.points, *first.interval)
