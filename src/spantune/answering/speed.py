"""How fast a trained model answers: from text to text, a question by itself and many in batches, unmerged and merged.

Other work on the machine only ever slows a measurement down, and for moments. So what is measured is repeated, and a
median counts: of each question's times, and of the passes of a batch. What is left between p50 and p95 are the
questions themselves, the length of their contexts above all.
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
"""Questions that go in batches: enough for the device to be busy."""
_REPEATED = 9


def answering(predictor: Predictor, corpus: Corpus, seconds: float) -> dict[str, AnswerSpeed]:
    """The speed of a model by its form: `unmerged`, and `merged` where its method can be.

    The model stays merged, so this is the last thing to do with it.

    Args:
        corpus: where the questions are from: the same ones, in the same order, for every model.
        seconds: for all of it. A slow model takes longer: it answers five questions and one batch at least.
    """
    mergeable = predictor.model.method.mergeable
    share = seconds / (4 if mergeable else 2)
    found = {"unmerged": _measured(predictor, corpus, share)}
    if mergeable:
        predictor.model.merge()
        found["merged"] = _measured(predictor, corpus, share)
    return found


def _measured(predictor: Predictor, corpus: Corpus, seconds: float) -> AnswerSpeed:
    order = np.random.default_rng(0).permutation(len(corpus.examples)).tolist()
    mixed = [corpus.examples[place] for place in order]
    times = _alone(predictor, mixed[:_QUESTIONS], seconds)
    p50, p95 = np.percentile([1000 * median(one) for one in times], [50, 95]).tolist()
    rate = _together(predictor, mixed[: _IN_BATCHES[predictor.model.device.type]], seconds)
    return AnswerSpeed(p50, p95, rate, questions=len(times), rounds=len(times[0]))


def _alone(predictor: Predictor, questions: Sequence[Example], seconds: float) -> list[list[float]]:
    """Of each question that there was time for: seconds, as often as there was time for."""
    predictor.predict(questions[:1])  # kernels are chosen and memory is taken in the first pass
    began = time.perf_counter()
    times: list[list[float]] = [[] for _ in questions]
    for number in range(_REPEATED * len(questions)):
        if number >= _FEWEST and time.perf_counter() - began >= seconds:
            break
        place = number % len(questions)
        times[place].append(_seconds(predictor, [questions[place]]))
    return [one for one in times if one]


def _together(predictor: Predictor, questions: Sequence[Example], seconds: float) -> float:
    """Questions in a second."""
    began = time.perf_counter()
    rates: list[float] = []
    while not rates or (len(rates) <= _REPEATED and time.perf_counter() - began < seconds):
        rates.append(len(questions) / _seconds(predictor, questions))
    return median(rates[1:] or rates)  # the first one also chooses kernels


def _seconds(predictor: Predictor, examples: Sequence[Example]) -> float:
    began = time.perf_counter()
    predictor.predict(examples)
    return time.perf_counter() - began
