"""How fast a trained model answers, from text to text: single questions and batches, unmerged and merged.

Other work on the machine can only slow a measurement down, and only for moments, so each measurement is repeated and
its median reported. What remains between p50 and p95 is the difference between questions, above all in context length.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import numpy as np

from spantune.answering.predictor import Predictor
from spantune.data import Corpus, Example
from spantune.runs import AnswerSpeed

_QUESTIONS, _FEWEST = 20, 5
_IN_BATCHES = {"cpu": 12, "mps": 128, "cuda": 512}
"""Questions answered in batches: enough to keep the device busy."""
_REPEATED = 9


def answering(predictor: Predictor, corpus: Corpus, seconds: float) -> dict[str, AnswerSpeed]:
    """The speed of a model: `unmerged`, and `merged` if its method can be merged.

    The model stays merged, so measure it last.

    Args:
        corpus: source of the questions: the same ones, in the same order, for every model.
        seconds: in total. A slow model takes longer: it answers at least five questions and one batch.
    """
    mergeable = predictor.model.method.mergeable
    share = seconds / (4 if mergeable else 2)
    speeds = {"unmerged": _measured(predictor, corpus, share)}
    if mergeable:
        predictor.model.merge()
        speeds["merged"] = _measured(predictor, corpus, share)
    return speeds


def _measured(predictor: Predictor, corpus: Corpus, seconds: float) -> AnswerSpeed:
    order = np.random.default_rng(0).permutation(len(corpus.examples)).tolist()
    mixed = [corpus.examples[place] for place in order]
    times = _alone(predictor, mixed[:_QUESTIONS], seconds)
    p50, p95 = np.percentile([1000 * median(of_question) for of_question in times], [50, 95]).tolist()
    rate = _together(predictor, mixed[: _IN_BATCHES[predictor.model.device.type]], seconds)
    return AnswerSpeed(p50, p95, rate, questions=len(times), rounds=len(times[0]))


def _alone(predictor: Predictor, questions: Sequence[Example], seconds: float) -> list[list[float]]:
    """The seconds of each question that was reached in time, one entry per repetition."""
    predictor.predict(questions[:1])  # the first pass selects kernels and allocates memory
    began = time.perf_counter()
    times: list[list[float]] = [[] for _ in questions]
    for number in range(_REPEATED * len(questions)):
        if number >= _FEWEST and time.perf_counter() - began >= seconds:
            break
        place = number % len(questions)
        times[place].append(_seconds(predictor, [questions[place]]))
    return [of_question for of_question in times if of_question]


def _together(predictor: Predictor, questions: Sequence[Example], seconds: float) -> float:
    """Questions per second."""
    began = time.perf_counter()
    rates: list[float] = []
    while not rates or (len(rates) <= _REPEATED and time.perf_counter() - began < seconds):
        rates.append(len(questions) / _seconds(predictor, questions))
    return median(rates[1:] or rates)  # the first one also selects kernels


def _seconds(predictor: Predictor, examples: Sequence[Example]) -> float:
    began = time.perf_counter()
    predictor.predict(examples)
    return time.perf_counter() - began
