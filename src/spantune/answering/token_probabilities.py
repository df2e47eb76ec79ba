"""The probability of each token of a context that the answer begins or ends there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spantune.answering.arrow_arrays import take
from spantune.answering.batches import end_points
from spantune.answering.engine import AT_ONCE, batch_logits, batch_tokens
from spantune.answering.windows import StreamedWindows
from spantune.config import DecodeConfig
from spantune.modeling import SpanModel


@dataclass(frozen=True)
class SeenWindow:
    """One window of a context.

    Attributes:
        start, end: characters of the context that it covers. share: of the probability of all spans, 0 to 1.
        score: of its best span (start + end logit); -inf if it has none.
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
        spans: (T, 2) characters [first, last + 1) of each context token of the window with the best span.
        starts, ends: (T,) probability that the answer begins and ends at each token. They sum to 1 over all windows and
            "no answer", and to its share within one window.
        windows: all of them, in order. won: index of the one with the best span.
        null_probability: of "no answer"; 0 if the model always answers.
    """

    spans: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    windows: tuple[SeenWindow, ...]
    won: int
    null_probability: float


@dataclass(frozen=True)
class _Logits:
    """Of one window: logits of its context tokens (T,), -inf where no answer may begin or end; and the null score."""

    spans: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    null_score: float


def look_inside(
    model: SpanModel,
    windows: StreamedWindows,
    *,
    pad_token_id: int,
    decode: DecodeConfig,
    dtype: torch.dtype,
    squad_v2: bool,
) -> Inside:
    """The probabilities that rank the spans of a `Prediction`, summed over all spans that begin (or end) at a token.

    Args:
        windows: of a corpus of one example. The others: as for `answer_windows`.
    """
    longest = decode.max_answer_length
    logits = _context_logits(model, windows, pad_token_id, decode, dtype)
    masses = [_masses(window, longest) for window in logits]
    scores = [_best_score(window, longest) for window in logits]
    totals = np.array([np.logaddexp.reduce(starts, initial=-np.inf) for starts, _ in masses])
    null_score = min(window.null_score for window in logits)
    total = np.logaddexp.reduce([*totals, *([null_score] if squad_v2 else [])], initial=-np.inf)
    total = total if np.isfinite(total) else 0.0  # there is no span: every probability is 0
    won = int(np.argmax(scores))
    starts, ends = (np.exp(mass - total) for mass in masses[won])
    seen = (
        SeenWindow(*_covered(window), float(np.exp(of_window - total)), score, window.null_score)
        for window, of_window, score in zip(logits, totals, scores, strict=True)
    )
    null = float(np.exp(null_score - total)) if squad_v2 else 0.0
    return Inside(logits[won].spans, starts, ends, tuple(seen), won, null)


def _context_logits(
    model: SpanModel, windows: StreamedWindows, pad_token_id: int, decode: DecodeConfig, dtype: torch.dtype
) -> list[_Logits]:
    """The logits of each window, in the order of the context."""
    longest = windows.rules.max_length
    tokens = batch_tokens(model.device, longest, decode.eval_batch_size)
    made: list[_Logits] = []
    for part in windows.parts(AT_ONCE):
        by_row: dict[int, _Logits] = {}
        for batch, logits in batch_logits(model, part.columns, pad_token_id, longest, dtype, tokens=tokens):
            rows = take(part.columns, batch)
            both = [scores.float().cpu().numpy().astype(np.float64) for scores in logits]
            allowed = end_points(rows, both[0].shape[1]).numpy()
            for row, (place, offsets, first) in enumerate(
                zip(batch.tolist(), rows["offsets"], rows["context_first"].tolist(), strict=True)
            ):
                spans = offsets.reshape(-1, 2)
                inner = slice(first, first + len(spans))
                null = float(both[0][row, 0] + both[1][row, 0])
                finite = all(np.isfinite(scores[row, inner]).all() for scores in both) and np.isfinite(null)
                # As in `AnswerCollector`, a window whose logits are not finite is left out.
                starts, ends = (np.where(allowed[row, inner] & finite, scores[row, inner], -np.inf) for scores in both)
                by_row[place] = _Logits(spans, starts, ends, null if finite else np.inf)
        made += [by_row[place] for place in sorted(by_row)]
    return made


def _masses(window: _Logits, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """(T,) each: logsumexp of the scores of all spans that begin, and that end, at each token."""
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
    """The characters from its first context token to its last."""
    return (int(window.spans[:, 0].min()), int(window.spans[:, 1].max())) if len(window.spans) else (0, 0)
