"""A look inside: where in a context a model sees the answer begin and end, token by token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spantune.answering.arrow_arrays import Lists, Rows
from spantune.answering.batches import end_points, sorted_batches
from spantune.answering.engine import AT_ONCE, batch_tokens, logits_of
from spantune.answering.windows import StreamedWindows
from spantune.data import Corpus, Example

if TYPE_CHECKING:
    from spantune.answering.predictor import Predictor


@dataclass(frozen=True)
class SeenWindow:
    """One window of a context.

    Attributes:
        start, end: characters of the context that it covers. share: of the probability of all spans, 0 to 1.
        score: of its best span (start + end logit); -inf where it has none.
        null_score: of its classification token.
    """

    start: int
    end: int
    share: float
    score: float
    null_score: float


@dataclass(frozen=True)
class Inside:
    """What a model sees in a context, for one question.

    Attributes:
        spans: (T, 2) characters of the winning window's context tokens: first, and behind the last.
        starts, ends: (T) probability that the answer begins and ends at each. Over all windows and "no answer" they
            add up to 1, so that in one window they add up to its share.
        windows: all of them in order. won: the one with the best span.
        null_probability: of "no answer"; 0 where every question counts as answerable.
    """

    spans: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    windows: tuple[SeenWindow, ...]
    won: int
    null_probability: float


@dataclass(frozen=True)
class _Logits:
    """Of one window: those of its context tokens (T), -inf where an answer may not begin or end; and the null score."""

    spans: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    null_score: float


def look_inside(predictor: Predictor, example: Example) -> Inside:
    """The probabilities by which `Prediction` ranks spans, summed over all spans that begin (or end) at a token."""
    windows = _windows(predictor, example)
    longest = predictor.decode.max_answer_length
    masses = [_masses(one, longest) for one in windows]
    scores = [_best_score(one, longest) for one in windows]
    totals = np.array([np.logaddexp.reduce(starts, initial=-np.inf) for starts, _ in masses])
    null_score = min(one.null_score for one in windows)
    whole = np.logaddexp.reduce([*totals, *([null_score] if predictor.squad_v2 else [])], initial=-np.inf)
    whole = whole if np.isfinite(whole) else 0.0  # no span at all: nothing has a share
    won = int(np.argmax(scores))
    starts, ends = (np.exp(one - whole) for one in masses[won])
    seen = (
        SeenWindow(*_covered(one), float(np.exp(total - whole)), score, one.null_score)
        for one, total, score in zip(windows, totals, scores, strict=True)
    )
    null = float(np.exp(null_score - whole)) if predictor.squad_v2 else 0.0
    return Inside(windows[won].spans, starts, ends, tuple(seen), won, null)


def _windows(predictor: Predictor, example: Example) -> list[_Logits]:
    """In the order of the context."""
    model, rules = predictor.model, predictor.rules
    corpus = Corpus.of((replace(example, answers=()),), "a look inside")
    tokens = batch_tokens(model.device, rules.max_length, predictor.decode.eval_batch_size)
    pad_token_id: int = predictor.tokenizer.pad_token_id
    found: dict[int, _Logits] = {}
    for part in StreamedWindows(corpus, predictor.tokenizer, rules).parts(AT_ONCE):
        for batch in sorted_batches(part.columns["length"], tokens):
            rows = Rows(part.columns, batch)
            logits = logits_of(model, part.columns, pad_token_id, rules.max_length, predictor.dtype, batch)
            both = [one.float().cpu().numpy().astype(np.float64) for one in (logits.start, logits.end)]
            allowed = end_points(rows, both[0].shape[1]).numpy()
            offsets, firsts = Lists.of(rows["offsets"]), np.asarray(rows["context_first"])
            for row, place in enumerate(batch.tolist()):
                spans = np.asarray(offsets[row]).reshape(-1, 2)
                inner = slice(int(firsts[row]), int(firsts[row]) + len(spans))
                null = float(both[0][row, 0] + both[1][row, 0])
                whole = all(np.isfinite(one[row, inner]).all() for one in both) and np.isfinite(null)
                # As in `AnswerCollector`, a window whose logits are not finite is left out.
                starts, ends = (np.where(allowed[row, inner] & whole, one[row, inner], -np.inf) for one in both)
                found[place] = _Logits(spans, starts, ends, null if whole else np.inf)
    return [found[place] for place in sorted(found)]


def _masses(window: _Logits, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """(T) each: log of the summed exponentials of all spans that begin, and that end, at each token."""
    starts, ends = (np.full(len(window.spans), -np.inf) for _ in range(2))
    for length in range(min(longest, len(window.spans))):
        scores = window.starts[: len(window.starts) - length] + window.ends[length:]
        np.logaddexp(starts[: len(scores)], scores, out=starts[: len(scores)])
        np.logaddexp(ends[length:], scores, out=ends[length:])
    return starts, ends


def _best_score(window: _Logits, longest: int) -> float:
    scores = (
        (window.starts[: len(window.starts) - length] + window.ends[length:]).max()
        for length in range(min(longest, len(window.spans)))
    )
    return float(max(scores, default=-np.inf))


def _covered(window: _Logits) -> tuple[int, int]:
    """Characters from the first token to the last."""
    return (int(window.spans[:, 0].min()), int(window.spans[:, 1].max())) if len(window.spans) else (0, 0)
