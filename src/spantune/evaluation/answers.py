"""From the spans of all windows of an example to its answer, n-best list and probabilities. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from spantune.data.example import Example
    from spantune.evaluation.decoding import WindowSpans


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible answer: `context[start:end] == text`, without white space around it.

    `score` is start + end logit (the highest, where several windows hold the span); `probability` its share among all
    valid spans of all windows (and "no answer", where that is allowed).
    """

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one example. `text` is "" (at 0:0) for "no answer"; then score and probability are the null's.

    `null_score` is the lowest score of the classification token over the windows. `null_probability` is 0 where every
    question counts as answerable. `n_best` holds spans only, best first, also where the answer is "".
    """

    id: str
    text: str
    start: int
    end: int
    score: float
    probability: float
    null_score: float
    null_probability: float
    n_best: tuple[Candidate, ...] = ()

    @property
    def null_odds(self) -> float:
        """Null score minus the best span's score (the official `null_odds.json`); infinite without any span."""
        return self.null_score - self.n_best[0].score if self.n_best else math.inf


class AnswerCollector:
    """Takes windows in any order and keeps what the best `n_best` answers of each example need.

    Equal character spans of several windows are one candidate: highest score, probabilities added. What a span scores
    in a window where it is not among the candidates handed in is not in its probability. Memory does not grow with the
    number of windows.

    Args:
        examples: all examples; windows name theirs by position.
        n_best: candidates that a prediction lists.
        squad_v2: whether "no answer" is allowed.
        null_threshold: with `squad_v2`, the answer is "" where null score - best score is above it.
    """

    def __init__(
        self, examples: Sequence[Example], *, n_best: int = 20, squad_v2: bool = False, null_threshold: float = 0.0
    ) -> None:
        if n_best < 1:
            raise ValueError(f"n_best must be 1 or more, got {n_best}")
        self.examples, self.n_best = examples, n_best
        self.squad_v2, self.null_threshold = squad_v2, null_threshold
        self.broken_windows = 0
        """Windows left out because their logits are not finite: the model has diverged."""
        # (start, end) -> [highest score, log of the summed exponentials]
        self._spans: list[dict[tuple[int, int], list[float]]] = [{} for _ in examples]
        self._log_partition = [-math.inf] * len(examples)
        self._null_score = [math.inf] * len(examples)

    def add_batch(self, example_indices: ArrayLike, offsets: ArrayLike, spans: WindowSpans) -> None:
        """All windows of a batch: `collector.add_batch(indices, offsets, window_candidates(...).numpy())`.

        Args:
            example_indices: (B,) position of each window's example.
            offsets: (B, L, 2) characters of each token: first, and behind the last. Only context tokens are read.
            spans: token spans (B, K) with score, log partition (B,) and null score (B,).
        """
        pairs, rows = np.asarray(offsets), np.arange(len(spans.start))[:, None]
        characters = np.stack([pairs[rows, spans.start, 0], pairs[rows, spans.end, 1]], axis=-1)  # (B, K, 2)
        windows = zip(
            np.asarray(example_indices).tolist(),
            characters,
            spans.score,
            spans.log_partition.tolist(),
            spans.null_score.tolist(),
            strict=True,
        )
        for window in windows:
            self.add(*window)

    def add(
        self, example_index: int, spans: ArrayLike, scores: ArrayLike, log_partition: float, null_score: float
    ) -> None:
        """One window.

        Args:
            example_index: position of its example.
            spans: (K, 2) characters of the candidates: first, and behind the last.
            scores: (K,) their scores; -inf marks an empty slot.
            log_partition: logsumexp of the scores of all valid spans of the window, -inf if there is none.
            null_score: score of its classification token.
        """
        values = np.asarray(scores, dtype=np.float64).tolist()
        if not math.isfinite(null_score) or not all(value < math.inf for value in (log_partition, *values)):  # NaN too
            self.broken_windows += 1
            return
        context, found = self.examples[example_index].context, self._spans[example_index]
        for (start, end), score in zip(np.asarray(spans).tolist(), values, strict=True):
            if score == -math.inf:
                continue
            key = _stripped(context, start, end)
            if key is None:
                continue
            known = found.get(key)
            if known is None:
                found[key] = [score, score]
            else:
                known[:] = max(known[0], score), _log_add(known[1], score)
        if len(found) > 4 * self.n_best:  # spare room: a span that comes back keeps its probability
            self._spans[example_index] = dict(self._ranked(example_index)[: 2 * self.n_best])
        self._log_partition[example_index] = _log_add(self._log_partition[example_index], log_partition)
        self._null_score[example_index] = min(self._null_score[example_index], null_score)

    def predictions(self) -> list[Prediction]:
        """One prediction an example, in the examples' order. More windows may be added afterwards."""
        return [self._prediction(index) for index in range(len(self.examples))]

    @property
    def unseen(self) -> int:
        """Examples of which no window was added; their answer is "" with score 0."""
        return sum(score == math.inf for score in self._null_score)

    @property
    def without_candidate(self) -> int:
        """Examples without any span to answer with: "" is their answer even where every question has one."""
        return sum(not found for found in self._spans)

    def _ranked(self, index: int) -> list[tuple[tuple[int, int], list[float]]]:
        return sorted(self._spans[index].items(), key=lambda item: (-item[1][0], item[0]))

    def _prediction(self, index: int) -> Prediction:
        example = self.examples[index]
        seen = self._null_score[index] != math.inf
        null_score = self._null_score[index] if seen else 0.0
        total = self._log_partition[index]
        if self.squad_v2:
            total = _log_add(total, null_score)
        null_probability = _probability(null_score, total) if self.squad_v2 else 0.0
        n_best = tuple(
            Candidate(example.context[start:end], start, end, score, _probability(mass, total))
            for (start, end), (score, mass) in self._ranked(index)[: self.n_best]
        )
        no_answer = not n_best or (self.squad_v2 and null_score - n_best[0].score > self.null_threshold)
        if no_answer:
            return Prediction(example.id, "", 0, 0, null_score, null_probability, null_score, null_probability, n_best)
        best = n_best[0]
        return Prediction(
            example.id,
            best.text,
            best.start,
            best.end,
            best.score,
            best.probability,
            null_score,
            null_probability,
            n_best,
        )


def _stripped(context: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space around it (byte-level tokenizers put a leading space into a token), or None."""
    if not 0 <= start <= end <= len(context):
        raise ValueError(f"span {start}:{end} is outside its context of {len(context)} characters")
    text = context[start:end]
    bare = text.lstrip()
    if not bare:
        return None
    return start + len(text) - len(bare), end - (len(bare) - len(bare.rstrip()))


def _log_add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    high, low = (one, other) if one >= other else (other, one)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _probability(log_mass: float, log_total: float) -> float:
    """At most 1: fp32 rounding of the partition may carry a near certainty just above it."""
    return min(1.0, math.exp(min(0.0, log_mass - log_total))) if log_total > -math.inf else 0.0
