"""The window decoder against a brute-force decoder, on hand-made and on random windows."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spantune.answering.span_decoding import best_spans, window_candidates


def brute_force(starts, ends, mask, longest):
    """All valid spans of one window as (score, start, end), best first, ties in text order."""
    context = [position for position, inside in enumerate(mask) if inside]
    spans = [(starts[i] + ends[j], i, j) for i in context for j in context if i <= j < i + longest]
    return sorted(spans, key=lambda span: (-span[0], span[1], span[2]))


# Multiples of 1/4 add without rounding, and collide often: ties are the rule here.
logit = st.integers(-40, 40).map(lambda quarters: quarters / 4)


@st.composite
def batches(draw):
    length = draw(st.integers(1, 12))
    row = st.tuples(
        st.lists(logit, min_size=length, max_size=length),
        st.lists(logit, min_size=length, max_size=length),
        st.lists(st.booleans(), min_size=length, max_size=length),
    )
    return draw(st.lists(row, min_size=1, max_size=4)), draw(st.integers(1, 15)), draw(st.integers(1, 90))


@given(batches())
def test_equals_brute_force(batch):
    rows, longest, k = batch
    starts, ends, masks = (torch.tensor(column) for column in zip(*rows, strict=True))
    found = window_candidates(starts, ends, masks, max_answer_length=longest, k=k)
    assert found.score.shape == found.start.shape == found.end.shape == (len(rows), k)
    for number, row in enumerate(rows):
        spans = brute_force(*row, longest)
        kept = min(k, len(spans))
        triples = zip(
            found.score[number].tolist(), found.start[number].tolist(), found.end[number].tolist(), strict=True
        )
        assert list(triples) == spans[:k] + [(-math.inf, 0, 0)] * (k - kept)
        partition = math.log(sum(math.exp(span[0]) for span in spans)) if spans else -math.inf
        assert found.log_partition[number].item() == pytest.approx(partition, abs=1e-4)
        assert found.null_score[number].item() == row[0][0] + row[1][0]


@given(batches())
def test_the_best_span_is_the_first_candidate(batch):
    rows, longest, _ = batch
    starts, ends, masks = (torch.tensor(column) for column in zip(*rows, strict=True))
    wanted = window_candidates(starts, ends, masks, max_answer_length=longest, k=1)
    found = best_spans(starts, ends, masks, max_answer_length=longest)
    for one, other in zip(found[:4], wanted[:4], strict=True):
        assert torch.equal(one, other)
    assert found.log_partition is None
    for number, row in enumerate(rows):
        assert (found.score[number].item(), found.start[number].item(), found.end[number].item()) == next(
            iter(brute_force(*row, longest)), (-math.inf, 0, 0)
        )


@given(st.integers(0, 2**31), st.sampled_from([1.0, 30.0, 200.0]), st.integers(1, 12), st.integers(1, 9))
def test_the_log_partition_at_any_distance(seed, spread, longest, length):
    """Against fp64: also where every valid span lies hundreds below the highest start and the highest end."""
    generator = torch.Generator().manual_seed(seed)
    starts, ends = torch.randn(2, 4, length, generator=generator) * spread
    mask = torch.rand(4, length, generator=generator) < 0.7
    found = window_candidates(starts, ends, mask, max_answer_length=longest, k=1).log_partition
    for number in range(4):
        spans = brute_force(starts[number].tolist(), ends[number].tolist(), mask[number].tolist(), longest)
        wanted = torch.tensor([score for score, _, _ in spans], dtype=torch.float64).logsumexp(0).item()
        assert found[number].item() == pytest.approx(wanted, abs=1e-5 * spread)


@pytest.mark.parametrize("value", [math.nan, -math.nan, math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_finite_shows(value, side):
    """x86 makes NaN with a sign; none may hide behind a finite span, however it sorts."""
    logits = torch.randn(2, 1, 12, generator=torch.Generator().manual_seed(1))
    logits[side, 0, 7] = value
    mask = torch.ones(1, 12, dtype=torch.bool)
    assert not best_spans(*logits, mask, max_answer_length=3).score.item() < math.inf
    many = window_candidates(*logits, mask, max_answer_length=3, k=2)
    assert not many.log_partition.item() < math.inf
    mask[0, 7] = False
    assert best_spans(*logits, mask, max_answer_length=3).score.item() < math.inf


def test_zeros_of_both_signs_are_equal():
    logits = torch.tensor([[-0.0, 0.0]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    found = window_candidates(logits, torch.zeros(1, 2) * -1, mask, max_answer_length=1, k=2)
    assert found.start.tolist() == [[0, 1]]


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 30))
def test_equals_brute_force_on_real_valued_logits(seed, longest, k):
    generator = torch.Generator().manual_seed(seed)
    starts, ends = torch.randn(2, 3, 24, generator=generator) * 8
    masks = torch.rand(3, 24, generator=generator) < 0.8
    found = window_candidates(starts, ends, masks, max_answer_length=longest, k=k)
    for number in range(3):
        table = (starts[number][:, None] + ends[number][None, :]).tolist()  # the same fp32 sums
        spans = [
            table[i][j]
            for i in range(24)
            for j in range(i, min(24, i + longest))
            if masks[number, i] and masks[number, j]
        ]
        expected = sorted(spans, reverse=True)[:k]
        assert found.score[number].tolist() == expected + [-math.inf] * (k - len(expected))


def test_a_window_by_hand():
    # tokens: [CLS] q [SEP] c3 c4 c5 [SEP]; the question and the specials carry the highest logits and must not answer
    starts = torch.tensor([[9.0, 9, 9, 1, 2, 0, 9]])
    ends = torch.tensor([[8.0, 9, 9, 0, 1, 3, 9]])
    mask = torch.tensor([[False, False, False, True, True, True, False]])
    found = window_candidates(starts, ends, mask, max_answer_length=2, k=8)
    # 4-5: 2+3, 5-5: 0+3 and 4-4: 2+1 tie (text order), 3-4: 1+1, 3-3: 1+0; 3-5 is three tokens long
    assert found.score[0].tolist() == [5, 3, 3, 2, 1, -math.inf, -math.inf, -math.inf]
    assert found.start[0].tolist() == [4, 4, 5, 3, 3, 0, 0, 0]
    assert found.end[0].tolist() == [5, 4, 5, 4, 3, 0, 0, 0]
    assert found.null_score.tolist() == [17.0]
    assert found.log_partition.item() == pytest.approx(math.log(sum(map(math.exp, (5, 3, 3, 2, 1)))))


def test_an_empty_context_has_no_candidate():
    found = window_candidates(
        torch.zeros(1, 4), torch.zeros(1, 4), torch.zeros(1, 4, dtype=torch.bool), max_answer_length=3, k=2
    )
    assert found.score.tolist() == [[-math.inf, -math.inf]]
    assert found.log_partition.tolist() == [-math.inf]


def test_far_apart_logits_neither_overflow_nor_vanish():
    starts = torch.tensor([[0.0, 0, 300, 0]])  # best start behind the best end: only pairs hundreds below are valid
    ends = torch.tensor([[0.0, 300, -400, -400]])
    found = window_candidates(starts, ends, torch.tensor([[False, False, True, True]]), max_answer_length=2, k=1)
    assert found.score.item() == -100
    assert found.log_partition.item() == pytest.approx(-100 + math.log(2))


def test_half_precision_logits_are_added_in_fp32():
    starts, ends = torch.tensor([[0.0, 256.0]]), torch.tensor([[0.0, 1.0]])
    mask = torch.tensor([[False, True]])
    found = window_candidates(starts.bfloat16(), ends.bfloat16(), mask, max_answer_length=1, k=1)
    assert found.score.dtype == torch.float32
    assert found.score.item() == 257.0  # bf16 would round it to 256


def test_batch_and_padding_change_nothing():
    starts, ends = torch.randn(2, 5, 20, generator=torch.Generator().manual_seed(3)).round()
    mask = torch.ones(5, 20, dtype=torch.bool)
    together = window_candidates(starts, ends, mask, max_answer_length=6, k=9)
    wider = [torch.nn.functional.pad(one, (0, 13), value=7.0) for one in (starts, ends)]
    padded = window_candidates(*wider, torch.nn.functional.pad(mask, (0, 13)), max_answer_length=6, k=9)
    for number in range(5):
        row = slice(number, number + 1)
        alone = window_candidates(starts[row], ends[row], mask[row], max_answer_length=6, k=9)
        for whole, single, wide in zip(together, alone, padded, strict=True):
            torch.testing.assert_close(whole[row], single, rtol=0, atol=1e-5)
            torch.testing.assert_close(whole[row], wide[row], rtol=0, atol=1e-5)
        assert torch.equal(together.start[row], padded.start[row])


@pytest.mark.parametrize("wrong", [{"max_answer_length": 0, "k": 1}, {"max_answer_length": 1, "k": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="1 or more"):
        window_candidates(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), **wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_equals_cpu():
    starts, ends = torch.randn(2, 8, 384, generator=torch.Generator().manual_seed(5)).bfloat16()
    mask = torch.ones(8, 384, dtype=torch.bool)
    mask[:, :20] = False
    here = window_candidates(starts, ends, mask, max_answer_length=30, k=20)
    there = window_candidates(starts.cuda(), ends.cuda(), mask.cuda(), max_answer_length=30, k=20)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other.cpu())
    best = best_spans(starts.cuda(), ends.cuda(), mask.cuda(), max_answer_length=30)
    assert torch.equal(best.start.cpu(), here.start[:, :1]) and torch.equal(best.end.cpu(), here.end[:, :1])
