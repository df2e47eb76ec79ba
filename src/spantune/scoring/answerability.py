"""How well a model knows what it cannot answer: null odds as a classifier, and their calibration (v2.0).

Null odds are the score of "no answer" minus that of the best span (`null_odds.json`): above the threshold, the model
answers nothing. "Positive" is a question without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spantune.data.example import Example
from spantune.errors import DataError
from spantune.runs.manifest import NullFit
from spantune.scoring.official_metrics import Predictions, question_scores

BINS = 15
_LARGEST_ODDS = 100.0
"""Odds beyond it are certainty either way; infinite ones (a question without any span) must not rule the fit."""


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """EM and F1 (0 to 100) at every threshold that matters: T rising values, from "answer nothing" to "answer all".

    At a threshold, questions whose odds are above it are not answered. The first threshold is -inf.
    """

    thresholds: np.ndarray
    em: np.ndarray
    f1: np.ndarray


def threshold_curve(
    examples: Sequence[Example], spans: Predictions, null_odds: Mapping[str, float], language: str | None = None
) -> ThresholdCurve:
    """The whole sweep, for a plot. Questions of equal odds are answered together, since no threshold parts them."""
    odds = odds_of(examples, null_odds)
    raw = question_scores(examples, spans, rules="v2.0", language=language)
    answered = np.array([raw[example.id] for example in examples])  # (Q, 2)
    nothing = np.array([[float(not example.answerable)] for example in examples])
    order = np.argsort(odds, kind="stable")
    gained = np.cumsum((answered - nothing)[order], axis=0)
    last = np.flatnonzero(np.append(np.diff(odds[order]) > 0, True))
    totals = np.vstack([np.zeros(2), gained[last]]) + nothing.sum()
    em, f1 = 100 * totals.T / len(examples)
    return ThresholdCurve(np.append(-np.inf, odds[order][last]), em, f1)


def best_threshold(curve: ThresholdCurve) -> float:
    """The lowest threshold with the highest F1: to be chosen on the selection split (elsewhere it is an oracle's).

    As `best_f1` of `official_metrics.score_v2`, without three oddities of the official scorer. It separates questions
    of equal odds, which no threshold does. It calls the threshold 0 if it is best to answer nothing; here that is a
    value below all odds. And its threshold is the odds of the last question that is answered; here it is halfway
    to those of the next one: the same on these questions, and as far as can be from a mistake on others.
    """
    best = int(np.argmax(np.round(curve.f1, 9)))
    here, beyond = np.append(curve.thresholds, np.inf)[best : best + 2]
    if best == 0:
        return float(beyond - 1.0)
    return float((here + beyond) / 2 if np.isfinite(beyond) else here)


def odds_of(examples: Sequence[Example], null_odds: Mapping[str, float]) -> np.ndarray:
    """(Q,) null odds in the examples' order; DataError if some are missing."""
    missing = [example.id for example in examples if example.id not in null_odds]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(examples)} questions have no null odds",
            where=f"id {missing[0]!r}",
            expected="null odds for every question (`null_odds.json`, which runs with --squad-v2 write)",
        )
    return np.array([null_odds[example.id] for example in examples], dtype=np.float64)


def unanswerable(examples: Sequence[Example]) -> np.ndarray:
    """(Q,) bool: whether a question has no answer."""
    return np.array([not example.answerable for example in examples], dtype=bool)


def auc(values: ArrayLike, positive: ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that a positive's value is above a negative's, equal ones counting half.

    None if one of the two kinds is missing.
    """
    from scipy.stats import rankdata

    which = np.asarray(positive, dtype=bool)
    positives, negatives = int(which.sum()), int((~which).sum())
    if not positives or not negatives:
        return None
    above = rankdata(values)[which].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> np.ndarray:
    """(Q,) mean loss on the k questions that a model is surest of, for k from 1 to Q.

    The risk-coverage curve (Geifman and El-Yaniv, 2017, https://arxiv.org/abs/1705.08500). Its mean, the area under
    it, is low where confidence ranks well (Geifman, Uziel and El-Yaniv, 2019, https://arxiv.org/abs/1805.08206).
    Questions of equal confidence have no order; the curve is the mean over all of their orders.

    Args:
        confidence: (Q,) any score that ranks; for answers under v2.0, the distance of the odds from the threshold.
        loss: (Q,) 0 to 1: one minus EM, or one minus F1.
    """
    doubt, lost = -np.asarray(confidence, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    order = np.argsort(doubt, kind="stable")
    _, group, size = np.unique(doubt[order], return_inverse=True, return_counts=True)
    shared = (np.bincount(group, lost[order]) / size)[group]
    return np.cumsum(shared) / np.arange(1, len(lost) + 1)


def null_probability(null_odds: ArrayLike, temperature: float = 1.0) -> np.ndarray:
    """(Q,) probability of "no answer" against the best span: the logistic function of odds / temperature."""
    from scipy.special import expit

    return expit(_bounded(null_odds) / temperature)


def fit_temperature(null_odds: ArrayLike, positive: ArrayLike) -> float:
    """The temperature with the highest likelihood: Guo et al., 2017 (https://arxiv.org/abs/1706.04599).

    To be fitted on the selection split. It changes no ranking and no answer, only how sure the probabilities sound. It
    is sought between 0.01 and 100, and is 100 where the odds say the opposite of the truth.

    Raises:
        DataError: all questions are of one kind, from which no confidence can be learnt.
    """
    from scipy.optimize import minimize_scalar

    which = np.asarray(positive, dtype=bool)
    if which.all() or not which.any():
        raise DataError(
            "the temperature cannot be fitted",
            expected="questions with and questions without an answer in the selection split",
            found=f"{which.sum()} of {len(which)} without",
        )
    signed = np.where(which, 1.0, -1.0) * _bounded(null_odds)  # positive where the sign is right

    def loss(inverse: float) -> float:
        """Convex in 1 / temperature."""
        return float(np.logaddexp(0.0, -inverse * signed).mean())

    return float(1 / minimize_scalar(loss, bounds=(0.01, 100.0), method="bounded", options={"xatol": 1e-6}).x)


def _bounded(null_odds: ArrayLike) -> np.ndarray:
    return np.clip(np.asarray(null_odds, dtype=np.float64), -_LARGEST_ODDS, _LARGEST_ODDS)


def calibration_error(probabilities: ArrayLike, happened: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error, 0 to 1 (Guo et al., 2017): in bins of equal width, the gap between how often an
    event was promised and how often it happened; the mean over the questions.

    Args:
        probabilities: (Q,) of the event, 0 to 1. happened: (Q,) bool.
    """
    promised = np.asarray(probabilities, dtype=np.float64)
    place = np.minimum((promised * bins).astype(np.intp), bins - 1)
    sums = [np.bincount(place, values, minlength=bins) for values in (promised, np.asarray(happened, dtype=np.float64))]
    return float(np.abs(sums[0] - sums[1]).sum() / len(promised))


def fit_null(
    examples: Sequence[Example], spans: Predictions, null_odds: Mapping[str, float], language: str | None = None
) -> NullFit:
    """Threshold and temperature from a model's spans and null odds on the selection split."""
    odds, which = odds_of(examples, null_odds), unanswerable(examples)
    threshold = best_threshold(threshold_curve(examples, spans, null_odds, language))
    temperature = 1.0 if which.all() or not which.any() else fit_temperature(odds, which)
    return NullFit(threshold, temperature)


def null_scores(
    examples: Sequence[Example],
    spans: Predictions,
    null_odds: Mapping[str, float],
    fit: NullFit,
    language: str | None = None,
) -> dict[str, float]:
    """How well a model knows what it cannot answer, as a run's record keeps it: all from 0 to 1 but what was fitted.

    Returns:
        `null_threshold` and `null_temperature` as fitted; `null_auc`, where there are questions of both kinds;
        `risk_coverage_area` of 1 - F1, and `risk_coverage_best`, which a perfect order of the same answers would have;
        `calibration_error` and, after temperature scaling, `calibration_error_scaled`.
    """
    odds, which = odds_of(examples, null_odds), unanswerable(examples)
    answers = {
        example.id: "" if above else spans[example.id]
        for example, above in zip(examples, odds > fit.threshold, strict=True)
    }
    scored = question_scores(examples, answers, rules="v2.0", language=language)
    losses = np.array([1 - scored[example.id][1] for example in examples])
    ranked = auc(odds, which)
    return {
        "null_threshold": fit.threshold,
        "null_temperature": fit.temperature,
        **({} if ranked is None else {"null_auc": ranked}),
        "risk_coverage_area": float(risk_coverage(np.abs(odds - fit.threshold), losses).mean()),
        "risk_coverage_best": float(risk_coverage(-np.arange(len(losses)), np.sort(losses)).mean()),
        "calibration_error": calibration_error(null_probability(odds), which),
        "calibration_error_scaled": calibration_error(null_probability(odds, fit.temperature), which),
    }
