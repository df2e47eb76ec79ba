"""From the spans of all windows of an example to its answer, n-best list and probabilities, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spantune.config import DecodeConfig
from spantune.data.prediction import Candidate, Prediction

if TYPE_CHECKING:
    from spantune.answering.span_decoding import WindowSpans
    from spantune.data.example import Example


class BestAnswers(NamedTuple):
    """What scoring needs: one entry per example in each list."""

    texts: list[str]
    """The answers, "" for none."""
    spans: list[str]
    """The best spans, also of examples whose answer is ""; "" without any span."""
    null_odds: list[float]
    """See `Prediction.null_odds`."""


class AnswerCollector:
    """Collects the spans of windows in any order and combines the candidates of each example.

    Equal character spans of several windows are one candidate: highest score, probabilities added. What a span scores
    in a window where it is not among the candidates handed in is not in its probability. What is held grows by the
    candidates of each window: a large corpus is handed in part by part.

    Args:
        examples: all examples; windows name theirs by position.
        n_best: candidates that a prediction lists.
        squad_v2: whether "no answer" is allowed.
        null_threshold: with `squad_v2`, the answer is "" if null score - best score is above it.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        n_best: int = DecodeConfig.n_best,
        squad_v2: bool = False,
        null_threshold: float = 0.0,
    ) -> None:
        if n_best < 1:
            raise ValueError(f"n_best must be 1 or more, got {n_best}")
        self.examples, self.n_best = examples, n_best
        self.squad_v2, self.null_threshold = squad_v2, null_threshold
        self.broken_windows = 0
        """Windows left out because their logits are not finite: the model has diverged."""
        self._spans: list[_Spans] = []
        self._tops: list[_Spans] = []  # the best of each window
        self._log_partition: np.ndarray | None = np.full(len(examples), -math.inf)
        self._null_score = np.full(len(examples), math.inf)

    def add_batch(self, example_indices: ArrayLike, characters: ArrayLike, spans: WindowSpans[np.ndarray]) -> None:
        """All windows of a batch.

        Args:
            example_indices: (B,) position of each window's example.
            characters: (B, K, 2) the spans as characters [first, last + 1), without white space around them.
                Those of empty slots are ignored.
            spans: their scores (B, K), best first and -inf for an empty slot, and of each window (B,) the null score
                and (for `predictions`) the log partition.
        """
        owners, places = np.asarray(example_indices), np.asarray(characters)
        scores, null_scores = spans.score.astype(np.float64), spans.null_score.astype(np.float64)
        whole = np.isfinite(null_scores) & (scores < math.inf).all(axis=1)  # a NaN is below nothing
        if spans.log_partition is not None:
            whole &= spans.log_partition < math.inf
        self.broken_windows += int(np.count_nonzero(~whole))
        row, slot = np.nonzero((scores > -math.inf) & whole[:, None])
        spans_of_batch = _Spans(owners[row], places[row, slot, 0], places[row, slot, 1], scores[row, slot])
        self._spans.append(spans_of_batch)
        self._tops.append(spans_of_batch.take(np.flatnonzero(slot == 0)))
        np.minimum.at(self._null_score, owners[whole], null_scores[whole])
        if spans.log_partition is None:
            self._log_partition = None
        elif self._log_partition is not None:
            np.logaddexp.at(self._log_partition, owners[whole], spans.log_partition[whole].astype(np.float64))

    def best(self) -> BestAnswers:
        """The answers alone, in the order of the examples: those of `predictions`, in a fraction of the time.

        Raises:
            ValueError: a span is empty or outside its context.
        """
        best = self._inside(self._tops)
        best = best.take(np.lexsort((best.end, best.start, -best.score, best.owner)))
        best = best.take(np.flatnonzero(np.diff(best.owner, prepend=-1)))
        odds = np.full(len(self.examples), math.inf)
        odds[best.owner] = self._null_score[best.owner] - best.score
        spans = [""] * len(self.examples)
        for owner, start, end in zip(best.owner.tolist(), best.start.tolist(), best.end.tolist(), strict=True):
            spans[owner] = self.examples[owner].context[start:end]
        texts = list(spans)
        for owner in np.flatnonzero(odds > self.null_threshold).tolist() if self.squad_v2 else ():
            texts[owner] = ""
        return BestAnswers(texts, spans, odds.tolist())

    def predictions(self) -> Iterator[Prediction]:
        """One prediction per example, in the order of the examples, lazily.

        Raises:
            ValueError: a batch came without its log partitions, or a span is empty or outside its context.
        """
        if self._log_partition is None:
            raise ValueError(
                "probabilities need the log partition of every window: see span_decoding.window_candidates"
            )
        null_scores = np.where(self._null_score < math.inf, self._null_score, 0.0)
        total = self._log_partition
        if self.squad_v2:
            total = np.logaddexp(total, null_scores)
        spans, mass = _merged(self._inside(self._spans))
        kept = _first_of_each(spans.owner, spans.score, self.n_best)
        spans, probability = spans.take(kept), _probability(mass[kept], total[spans.owner[kept]])
        return self._made(spans, probability, null_scores, _probability(null_scores, total))

    def _made(
        self, spans: _Spans, probability: np.ndarray, null_scores: np.ndarray, null_probability: np.ndarray
    ) -> Iterator[Prediction]:
        edges = np.searchsorted(spans.owner, np.arange(len(self.examples) + 1)).tolist()
        columns = [column.tolist() for column in (spans.start, spans.end, spans.score, probability)]
        nulls = zip(null_scores.tolist(), null_probability.tolist(), strict=True)
        for example, first, last, (null, share) in zip(self.examples, edges[:-1], edges[1:], nulls, strict=True):
            rows = zip(*(column[first:last] for column in columns), strict=True)
            n_best = tuple(Candidate(example.context[row[0] : row[1]], *row) for row in rows)
            yield self._prediction(example.id, n_best, null, share if self.squad_v2 else 0.0)

    def _prediction(self, name: str, n_best: tuple[Candidate, ...], null: float, null_share: float) -> Prediction:
        if not n_best or (self.squad_v2 and null - n_best[0].score > self.null_threshold):
            return Prediction(name, "", 0, 0, null, null_share, null, null_share, n_best)
        best = n_best[0]
        return Prediction(
            name, best.text, best.start, best.end, best.score, best.probability, null, null_share, n_best
        )  # fmt: skip

    def _inside(self, parts: Sequence[_Spans]) -> _Spans:
        """All spans; ValueError if one is empty or outside its context."""
        spans = _Spans.joined(parts)
        sizes = np.array([len(example.context) for example in self.examples], dtype=np.int64)[spans.owner]
        wrong = np.flatnonzero((spans.start < 0) | (spans.start >= spans.end) | (spans.end > sizes))
        if len(wrong):
            start, end, size = (int(column[wrong[0]]) for column in (spans.start, spans.end, sizes))
            raise ValueError(f"span {start}:{end} is empty or outside its context of {size} characters")
        return spans


class _Spans(NamedTuple):
    """Character spans (N,) with their example and score."""

    owner: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[_Spans]) -> _Spans:
        none = np.zeros(0, dtype=np.int64)
        return cls(*map(np.concatenate, zip(cls(none, none, none, np.zeros(0)), *parts, strict=True)))

    def take(self, rows: np.ndarray) -> _Spans:
        return _Spans(*(column[rows] for column in self))


def _merged(spans: _Spans) -> tuple[_Spans, np.ndarray]:
    """Equal spans as one with the highest score, in order of owner and place; the log of their summed exponentials."""
    spans = spans.take(np.lexsort((spans.end, spans.start, spans.owner)))
    same = (np.diff(column, prepend=-1) == 0 for column in spans[:3])
    first = np.flatnonzero(~np.logical_and.reduce(list(same)))
    if len(first) == len(spans.owner):
        return spans, spans.score
    highest, mass = (combine.reduceat(spans.score, first) for combine in (np.maximum, np.logaddexp))
    return spans.take(first)._replace(score=highest), mass


def _first_of_each(owner: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """The `count` rows of each owner that score highest, best first; equal scores in order of their rows."""
    order = np.lexsort((-score, owner))
    first = np.searchsorted(owner[order], owner[order])
    return order[np.arange(len(order)) - first < count]


def _probability(log_mass: np.ndarray, log_total: np.ndarray) -> np.ndarray:
    """At most 1: fp32 rounding of the partition may carry a near certainty just above it. 0 of nothing."""
    some = log_total > -math.inf
    return np.exp(np.minimum(0.0, np.subtract(log_mass, log_total, out=np.full(log_mass.shape, -math.inf), where=some)))
