"""Windows joined to answers: merging, probabilities, the null score, exact substrings."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spantune.data.example import Example
from spantune.evaluation.answers import AnswerCollector
from spantune.evaluation.decoding import WindowSpans, window_candidates

CONTEXT = "Ada Lovelace wrote the first programme in 1843."
EXAMPLE = Example("q", "Who?", CONTEXT)
ADA, NAME, YEAR = (0, 3), (0, 12), (42, 46)


def log_sum(*scores):
    return math.log(sum(math.exp(score) for score in scores))


def collect(*windows, **options):
    collector = AnswerCollector([EXAMPLE], **options)
    for spans, scores, null_score in windows:
        collector.add(0, spans, scores, log_sum(*scores), null_score)
    return collector


def test_equal_spans_of_two_windows_are_one_candidate():
    windows = ([ADA, NAME], [2.0, 1.0], 0.5), ([NAME, YEAR], [3.0, 0.0], -1.0)
    (prediction,) = collect(*windows).predictions()
    total = math.exp(2) + math.exp(1) + math.exp(3) + math.exp(0)
    assert [(one.text, one.start, one.end, one.score) for one in prediction.n_best] == [
        ("Ada Lovelace", 0, 12, 3.0),
        ("Ada", 0, 3, 2.0),
        ("1843", 42, 46, 0.0),
    ]
    shares = [(math.exp(1) + math.exp(3)) / total, math.exp(2) / total, 1 / total]
    assert [one.probability for one in prediction.n_best] == pytest.approx(shares)
    assert (prediction.text, prediction.start, prediction.end, prediction.score) == ("Ada Lovelace", 0, 12, 3.0)
    assert prediction.null_score == -1.0  # the lowest of the windows
    assert prediction.null_probability == 0.0


@pytest.mark.parametrize(("threshold", "text"), [(1.9, ""), (2.0, "Ada"), (2.1, "Ada")])
def test_no_answer_only_above_the_threshold(threshold, text):
    windows = ([ADA], [1.0], 3.0), ([YEAR], [0.0], 9.0)
    (prediction,) = collect(*windows, squad_v2=True, null_threshold=threshold).predictions()
    assert prediction.text == text  # null score 3, best span 1: odds of exactly 2
    assert prediction.null_odds == 2.0
    total = math.exp(1) + math.exp(0) + math.exp(3)
    assert prediction.null_probability == pytest.approx(math.exp(3) / total)
    assert prediction.probability == pytest.approx(math.exp(1 if text else 3) / total)
    assert CONTEXT[prediction.start : prediction.end] == prediction.text
    assert [one.text for one in prediction.n_best] == ["Ada", "1843"]


def test_without_v2_a_higher_null_score_answers_nevertheless():
    (prediction,) = collect(([ADA], [1.0], 50.0)).predictions()
    assert prediction.text == "Ada"
    assert prediction.probability == pytest.approx(1.0)


def test_white_space_is_stripped_with_its_offsets():
    context = " \tOn Monday \u00a0 we left."
    collector = AnswerCollector([Example("q", "When?", context)])
    collector.add(0, [(0, 14), (1, 11), (0, 2)], [3.0, 2.0, 5.0], log_sum(3.0, 2.0, 5.0), 0.0)
    (prediction,) = collector.predictions()
    (candidate,) = prediction.n_best  # both spans are "On Monday"; the third is blank
    assert candidate.text == "On Monday" == context[candidate.start : candidate.end]
    assert candidate.score == 3.0


def test_empty_slots_and_windows_without_spans():
    collector = AnswerCollector([EXAMPLE, Example("none", "?", "x"), Example("unseen", "?", "x")])
    collector.add(0, [ADA, (0, 0)], [1.0, -math.inf], 1.0, 0.0)
    collector.add(1, [(0, 0), (0, 0)], [-math.inf, -math.inf], -math.inf, 4.0)
    answered, none, unseen = collector.predictions()
    assert (answered.text, len(answered.n_best)) == ("Ada", 1)
    assert (none.text, none.probability, none.null_score, none.null_odds) == ("", 0.0, 4.0, math.inf)
    assert (unseen.text, unseen.probability, unseen.null_score) == ("", 0.0, 0.0)
    assert (collector.without_candidate, collector.unseen, collector.broken_windows) == (2, 1, 0)


def test_v2_without_spans_is_certain_of_no_answer():
    collector = AnswerCollector([EXAMPLE], squad_v2=True)
    collector.add(0, [(0, 0)], [-math.inf], -math.inf, -7.0)
    (prediction,) = collector.predictions()
    assert (prediction.text, prediction.probability, prediction.null_probability) == ("", 1.0, 1.0)


@pytest.mark.parametrize(
    ("score", "partition", "null"),
    [(math.nan, 1.0, 0.0), (1.0, math.nan, 0.0), (1.0, 1.0, math.nan), (math.inf, math.inf, 0.0), (1.0, 1.0, math.inf)],
)
def test_logits_that_are_not_finite_are_left_out_and_counted(score, partition, null):
    collector = AnswerCollector([EXAMPLE])
    collector.add(0, [ADA], [score], partition, null)
    collector.add(0, [YEAR], [0.0], 0.0, 0.0)
    (prediction,) = collector.predictions()
    assert (prediction.text, len(prediction.n_best), collector.broken_windows) == ("1843", 1, 1)


def test_a_span_outside_the_context_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="outside its context"):
        AnswerCollector([EXAMPLE]).add(0, [(40, 60)], [0.0], 0.0, 0.0)


@given(
    st.lists(st.lists(st.integers(-20, 20), min_size=1, max_size=8), min_size=1, max_size=30),
    st.randoms(),
    st.booleans(),
)
def test_order_of_windows_and_spare_memory_change_no_answer(windows, order, squad_v2):
    """Against an aggregation that keeps everything, the windows handed in shuffled."""
    context = "abcdefghij" * 4
    chooser = random.Random(7)
    drawn = [[(chooser.randrange(38), score / 2) for score in scores] for scores in windows]
    shuffled = list(drawn)
    order.shuffle(shuffled)
    collector = AnswerCollector([Example("q", "?", context)], n_best=2, squad_v2=squad_v2)
    for window in shuffled:
        spans, scores = [(start, start + 1) for start, _ in window], [score for _, score in window]
        collector.add(0, spans, scores, log_sum(*scores), 1.0)
        assert len(collector._spans[0]) <= 8
    highest: dict[int, float] = {}
    for start, score in (pair for window in drawn for pair in window):
        highest[start] = max(score, highest.get(start, -math.inf))
    best = sorted(highest, key=lambda start: (-highest[start], start))[:2]
    (prediction,) = collector.predictions()
    assert [(one.start, one.score) for one in prediction.n_best] == [(start, highest[start]) for start in best]
    assert sum(one.probability for one in prediction.n_best) + prediction.null_probability <= 1 + 1e-9


def test_probabilities_of_all_spans_add_to_one_from_logits_on():
    words = CONTEXT.split()
    offsets = [(0, 0)]  # [CLS]
    for word in words:
        start = CONTEXT.index(word, offsets[-1][1])
        offsets.append((start, start + len(word)))
    length = len(offsets)
    starts, ends = torch.randn(2, 2, length, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[:, 0] = False
    mask[0, 6:] = mask[1, :4] = False  # two overlapping windows of one example
    spans = window_candidates(starts, ends, mask, max_answer_length=3, k=40)
    collector = AnswerCollector([EXAMPLE], n_best=40, squad_v2=True)
    collector.add_batch(np.array([0, 0]), np.array([offsets, offsets]), spans.numpy())
    (prediction,) = collector.predictions()
    assert sum(one.probability for one in prediction.n_best) + prediction.null_probability == pytest.approx(1, abs=1e-6)
    assert all(CONTEXT[one.start : one.end] == one.text for one in prediction.n_best)
    assert prediction.null_score == pytest.approx(min(starts[0, 0] + ends[0, 0], starts[1, 0] + ends[1, 0]).item())
    best = max(spans.score[:, 0].tolist())
    assert prediction.n_best[0].score == pytest.approx(best)


def test_a_batch_equals_its_windows_one_by_one():
    offsets = np.array([[(0, 0), (0, 3), (4, 12)], [(0, 0), (0, 3), (42, 46)]])
    spans = WindowSpans(
        start=np.array([[1, 2], [2, 0]]),
        end=np.array([[2, 2], [2, 0]]),
        score=np.array([[2.0, 1.0], [1.5, -np.inf]], dtype=np.float32),
        log_partition=np.array([2.5, 1.5], dtype=np.float32),
        null_score=np.array([0.0, -1.0], dtype=np.float32),
    )
    examples = [EXAMPLE, Example("other", "When?", CONTEXT)]
    batched, single = AnswerCollector(examples), AnswerCollector(examples)
    batched.add_batch([1, 0], offsets, spans)
    single.add(1, [(0, 12), (4, 12)], [2.0, 1.0], 2.5, 0.0)
    single.add(0, [(42, 46), (0, 0)], [1.5, -math.inf], 1.5, -1.0)
    assert batched.predictions() == single.predictions()
    assert [one.text for one in batched.predictions()] == ["1843", "Ada Lovelace"]
