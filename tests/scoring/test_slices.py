"""Scores on slices: by hand, from the same draws as the whole, nothing left out."""

import numpy as np
import pytest
from made_scores import scores_of

from spantune.scoring.dimensions import DIMENSIONS, Dimension
from spantune.scoring.slices import slice_scores
from spantune.scoring.statistics import compare

GENERATOR = np.random.default_rng(0)
EM = {"a": [(GENERATOR.random(120) < 0.6).astype(float)], "b": [(GENERATOR.random(120) < 0.4).astype(float)]}
F1 = {name: [np.clip(one[0] + 0.25, 0, 1)] for name, one in EM.items()}
CONTEXTS = np.arange(120) // 4
STUDY = scores_of(EM, F1, CONTEXTS)
THIRDS = Dimension("third", ("0", "1", "2", "3"), lambda example: str(int(example.id[1:]) % 3), "the id by 3")
BLOCKS = Dimension("block", ("start", "rest"), lambda example: "rest" if int(example.id[1:]) > 35 else "start", "")
ALL = Dimension("all", ("all",), lambda example: "all", "everything")


def by_name(dimension, **options):
    return {one.name: one for one in slice_scores(STUDY, [dimension], resamples=500, **options)}


def test_scores_and_sizes_by_hand():
    made = by_name(THIRDS)
    assert [one.n for one in made.values()] == [40, 40, 40, 0]
    assert made["1"].units == 30 and made["1"].note is None
    assert made["1"].scores["a"].em == pytest.approx(100 * EM["a"][0][1::3].mean())
    assert made["1"].scores["b"].f1 == pytest.approx(100 * F1["b"][0][1::3].mean())
    low, high = made["1"].scores["a"].em_interval
    assert low < made["1"].scores["a"].em < high


def test_an_empty_slice_is_there():
    empty = by_name(THIRDS)["3"]
    assert (empty.n, empty.units, empty.scores, empty.note) == (0, 0, {}, "no question of this kind")


def test_a_slice_of_few_contexts_has_no_interval():
    made = by_name(BLOCKS)
    assert (made["start"].n, made["start"].units) == (36, 9)
    assert made["start"].scores["a"].em_interval is None and made["start"].scores["a"].f1_interval is None
    assert made["start"].scores["a"].em == pytest.approx(100 * EM["a"][0][:36].mean())
    assert made["start"].note == "no interval: fewer than 10 contexts"
    assert made["rest"].scores["a"].em_interval is not None
    assert by_name(BLOCKS, unit="question")["start"].scores["a"].em_interval is not None


def test_the_slice_of_everything_is_the_whole():
    """Slices and comparison come from the same draws."""
    whole = {one.method: one for one in compare(STUDY, resamples=500, seed=3).standings}
    for method, score in by_name(ALL, seed=3)["all"].scores.items():
        assert score.em_interval == whole[method].em.interval
        assert score.f1_interval == whole[method].f1.interval
        assert score.f1 == pytest.approx(whole[method].f1.mean)


def test_all_dimensions_at_once():
    made = slice_scores(STUDY, resamples=100)
    assert len(made) == sum(len(one.slices) for one in DIMENSIONS)
    for dimension in DIMENSIONS:
        assert sum(one.n for one in made if one.dimension == dimension.name) == 120
    assert by_name(THIRDS) == {one.name: one for one in slice_scores(STUDY, [ALL, THIRDS], resamples=500)[1:]}
