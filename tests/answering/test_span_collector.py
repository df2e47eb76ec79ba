"""Windows joined to answers: merging, probabilities, the null score, exact substrings."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spantune.answering.span_collector import AnswerCollector
from spantune.answering.span_decoding import WindowSpans, window_candidates
from spantune.data.example import Example

CONTEXT = "Ada Lovelace wrote the first programme in 1843."
EXAMPLE = Example("q", "Who?", CONTEXT)
ADA, NAME, YEAR = (0, 3), (0, 12), (42, 46)


def log_sum(*scores):
    return math.log(sum(math.exp(score) for score in scores)) if scores else -math.inf


def window(collector, owner, spans, scores, log_partition, null_score):
    """Hand in one window: its character spans, best first."""
    row = np.zeros((1, len(spans)), dtype=np.int64)
    made = WindowSpans(row, row, np.array([scores]), np.array([null_score]), np.array([log_partition]))
    collector.add_batch([owner], np.array([spans]).reshape(1, -1, 2), made)


def collect(*windows, **options):
    collector = AnswerCollector([EXAMPLE], **options)
    for spans, scores, null_score in windows:
        window(collector, 0, spans, scores, log_sum(*scores), null_score)
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
    collector = collect(*windows, squad_v2=True, null_threshold=threshold)
    (prediction,) = collector.predictions()
    assert prediction.text == text  # null score 3, best span 1: odds of exactly 2
    assert prediction.null_odds == 2.0
    assert collector.best() == ([text], ["Ada"], [2.0])
    total = math.exp(1) + math.exp(0) + math.exp(3)
    assert prediction.null_probability == pytest.approx(math.exp(3) / total)
    assert prediction.probability == pytest.approx(math.exp(1 if text else 3) / total)
    assert CONTEXT[prediction.start : prediction.end] == prediction.text
    assert [one.text for one in prediction.n_best] == ["Ada", "1843"]


def test_without_v2_a_higher_null_score_answers_nevertheless():
    (prediction,) = collect(([ADA], [1.0], 50.0)).predictions()
    assert prediction.text == "Ada"
    assert prediction.probability == pytest.approx(1.0)


def test_empty_slots_and_windows_without_spans():
    collector = AnswerCollector([EXAMPLE, Example("none", "?", "x"), Example("unseen", "?", "x")])
    window(collector, 0, [ADA, (0, 0)], [1.0, -math.inf], 1.0, 0.0)
    window(collector, 1, [(0, 0), (0, 0)], [-math.inf, -math.inf], -math.inf, 4.0)
    answered, none, unseen = collector.predictions()
    assert (answered.text, len(answered.n_best)) == ("Ada", 1)
    assert (none.text, none.probability, none.null_score, none.null_odds) == ("", 0.0, 4.0, math.inf)
    assert (unseen.text, unseen.probability, unseen.null_score) == ("", 0.0, 0.0)
    assert collector.best() == (["Ada", "", ""], ["Ada", "", ""], [-1.0, math.inf, math.inf])
    assert collector.broken_windows == 0


def test_v2_without_spans_is_certain_of_no_answer():
    collector = AnswerCollector([EXAMPLE], squad_v2=True)
    window(collector, 0, [(0, 0)], [-math.inf], -math.inf, -7.0)
    (prediction,) = collector.predictions()
    assert (prediction.text, prediction.probability, prediction.null_probability) == ("", 1.0, 1.0)


@pytest.mark.parametrize(
    ("score", "partition", "null"),
    [(math.nan, 1.0, 0.0), (1.0, math.nan, 0.0), (1.0, 1.0, math.nan), (math.inf, math.inf, 0.0), (1.0, 1.0, math.inf)],
)
def test_logits_that_are_not_finite_are_left_out_and_counted(score, partition, null):
    collector = AnswerCollector([EXAMPLE])
    window(collector, 0, [ADA], [score], partition, null)
    window(collector, 0, [YEAR], [0.0], 0.0, 0.0)
    (prediction,) = collector.predictions()
    assert (prediction.text, len(prediction.n_best), collector.broken_windows) == ("1843", 1, 1)


@pytest.mark.parametrize("span", [(40, 60), (-1, 3), (4, 4), (5, 4)])
def test_a_span_outside_the_context_is_a_mistake_of_the_caller(span):
    collector = AnswerCollector([EXAMPLE])
    window(collector, 0, [span], [0.0], 0.0, 0.0)
    for ask in (collector.best, collector.predictions):
        with pytest.raises(ValueError, match="outside its context"):
            ask()


def test_probabilities_need_their_partition():
    collector = AnswerCollector([EXAMPLE])
    row = np.array([[0]])
    collector.add_batch([0], [[ADA]], WindowSpans(row, row, np.array([[1.0]]), np.array([0.0])))
    assert collector.best().texts == ["Ada"]
    with pytest.raises(ValueError, match="need the log partition"):
        collector.predictions()


CONTEXTS = ("abcdefghij" * 4, "klm", "nopqrstuvw" * 2)
span = st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(-20, 20).map(lambda halves: halves / 2))
windows = st.tuples(st.integers(0, 2), st.lists(span, max_size=8), st.integers(-9, 9), st.booleans())


def reference(drawn, n_best, squad_v2, threshold):
    """Texts with their score and share, best span, null odds and null share of each example: one loop, no arrays."""
    told = []
    for number, context in enumerate(CONTEXTS):
        own = [one for one in drawn if one[0] == number and not one[3]]
        highest, masses, rest = {}, {}, 0.0
        for _, spans, _, _ in own:
            for start, size, score in spans:
                key = (start, min(start + size, len(context)))
                highest[key] = max(score, highest.get(key, -math.inf))
                masses[key] = masses.get(key, 0.0) + math.exp(score)
                rest += math.exp(score)
        null = min((null for _, _, null, _ in own), default=0)
        total = rest + (math.exp(null) if squad_v2 else 0.0)
        ranked = sorted(highest, key=lambda key: (-highest[key], key))[:n_best]
        listed = [(context[slice(*key)], *key, highest[key], masses[key] / total) for key in ranked]
        odds = null - listed[0][3] if listed else math.inf
        withheld = squad_v2 and odds > threshold
        told.append(
            (listed, "" if withheld or not listed else listed[0][0], odds, math.exp(null) / total if squad_v2 else 0)
        )
    return told


@given(
    st.lists(windows, max_size=25), st.integers(1, 5), st.booleans(), st.sampled_from([-3.0, 0.0]), st.integers(1, 6)
)
def test_any_windows_in_any_batches_against_a_loop(drawn, n_best, squad_v2, threshold, size):
    """Several examples, windows of each in any order, broken ones (the last of the four) between them."""
    collector = AnswerCollector(
        [Example(str(number), "?", context) for number, context in enumerate(CONTEXTS)],
        n_best=n_best, squad_v2=squad_v2, null_threshold=threshold,
    )  # fmt: skip
    for at in range(0, len(drawn), size):
        batch = drawn[at : at + size]
        characters = np.full((len(batch), 8, 2), -5)  # an empty slot may say anything
        scores = np.full((len(batch), 8), -math.inf)
        for row, (owner, spans, _, _) in enumerate(batch):
            for slot, (start, length, score) in enumerate(sorted(spans, key=lambda one: (-one[2], *one))):
                characters[row, slot] = start, min(start + length, len(CONTEXTS[owner]))
                scores[row, slot] = score
        partition = np.array(
            [math.nan if broken else log_sum(*(one[2] for one in spans)) for _, spans, _, broken in batch]
        )
        nulls = np.array([float(null) for _, _, null, _ in batch])
        none = np.zeros((len(batch), 8), dtype=np.int64)
        collector.add_batch([one[0] for one in batch], characters, WindowSpans(none, none, scores, nulls, partition))
    assert collector.broken_windows == sum(one[3] for one in drawn)
    best = collector.best()
    told = reference(drawn, n_best, squad_v2, threshold)
    for number, (prediction, (listed, text, odds, share)) in enumerate(zip(collector.predictions(), told, strict=True)):
        assert [one[:4] for one in prediction.n_best] == [one[:4] for one in listed]
        assert [one.probability for one in prediction.n_best] == pytest.approx([one[4] for one in listed])
        assert (prediction.text, prediction.null_odds) == (text, odds) == (best.texts[number], best.null_odds[number])
        assert best.spans[number] == (listed[0][0] if listed else "")
        assert prediction.null_probability == pytest.approx(share)


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
    spans = window_candidates(starts, ends, mask, max_answer_length=3, k=40).numpy()
    collector = AnswerCollector([EXAMPLE], n_best=40, squad_v2=True)
    pairs = np.array(offsets)
    collector.add_batch([0, 0], np.stack([pairs[spans.start, 0], pairs[spans.end, 1]], axis=-1), spans)
    (prediction,) = collector.predictions()
    assert sum(one.probability for one in prediction.n_best) + prediction.null_probability == pytest.approx(1, abs=1e-6)
    assert all(CONTEXT[one.start : one.end] == one.text for one in prediction.n_best)
    assert prediction.null_score == pytest.approx(min(starts[0, 0] + ends[0, 0], starts[1, 0] + ends[1, 0]).item())
    best = max(spans.score[:, 0].tolist())
    assert prediction.n_best[0].score == pytest.approx(best)
