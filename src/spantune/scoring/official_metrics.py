"""Exact match and F1, equal to the official SQuAD v1.1 and v2.0 scorers to the last digit. Standard library only.

Rajpurkar et al., 2016 (https://arxiv.org/abs/1606.05250) and 2018 (https://arxiv.org/abs/1806.03822). The order of the
sums, and which numbers stay integers, follow the official code: floating-point digits depend on it.

Two rules differ, and `score` chooses: under v1.1 an answer that normalises to nothing can earn EM but never F1, and
every question counts; under v2.0 questions without an answer count too, and null odds may override an answer.

Both compare what is left of an answer after normalisation, which is made for English. Where a `language` is given, what
is compared is made by MLQA's rules for it (`scoring.mlqa`), and all else stays as it is.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from spantune.errors import DataError
from spantune.scoring.mlqa import mlqa_normalizer

if TYPE_CHECKING:
    from spantune.data.example import Example

Rules = Literal["v1.1", "v2.0"]
Predictions = Mapping[str, "str | None"]
"""Question id to answer; "" is "no answer", None or a missing id is no prediction at all (wrong, and counted)."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, white space collapsed: what is compared."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def normalizer(language: str | None = None) -> Callable[[str], str]:
    """What makes of an answer the words that are compared, with a blank between two: the official rule's, or MLQA's for
    a language."""
    return normalize_answer if language is None else mlqa_normalizer(language)


def exact_match(prediction: str, golds: Sequence[str], language: str | None = None) -> int:
    """1 if the prediction equals one of the accepted answers after normalisation, else 0."""
    return _pair_scores(prediction, golds, "v2.0", normalizer(language))[0]


def f1(prediction: str, golds: Sequence[str], language: str | None = None) -> float:
    """Highest F1 of the prediction's bag of words with that of a gold; golds [""] means no answer (v2.0)."""
    return _pair_scores(prediction, golds, "v2.0", normalizer(language))[1]


def score(
    examples: Sequence[Example],
    predictions: Predictions,
    null_odds: Mapping[str, float] | None = None,
    null_threshold: float = 1.0,
    rules: Rules | None = None,
    language: str | None = None,
) -> dict[str, float]:
    """The official scores, in per cent, and what was counted.

    Args:
        examples: the references. What is scored is exactly these.
        predictions: id to answer.
        null_odds: id to the odds or probability of "no answer", the official `--na-prob-file` (v2.0 only).
        null_threshold: with `null_odds`, a question whose odds are above it counts as "no answer".
        rules: the scorer to follow. Default: v2.0 if a question has no answer or null odds are given, else v1.1.
        language: compare by MLQA's rules for it. Default: by the official ones.

    Returns:
        The dictionary of `score_v1` or `score_v2`; in both cases `exact_match`, `f1`, `total`, `missing` (questions
        without a prediction: they score 0) and `unknown` (predictions for ids that are not among the examples).

    Raises:
        DataError: no examples, or a prediction without null odds where odds are given.
    """
    if rules_for(examples, null_odds, rules) == "v1.1":
        official = score_v1(examples, predictions, language)
    else:
        official = score_v2(examples, predictions, null_odds, null_threshold, language)
        official = {"exact_match": official["exact"], **official}
    ids = {example.id for example in examples}
    missing = sum(predictions.get(example.id) is None for example in examples)
    unknown = sum(name not in ids for name in predictions)
    return {**official, "total": official.get("total", len(examples)), "missing": missing, "unknown": unknown}


def score_v1(examples: Sequence[Example], predictions: Predictions, language: str | None = None) -> dict[str, float]:
    """`exact_match` and `f1` as `evaluate-v1.1.py` prints them. Examples without an answer score 0."""
    _refuse_nothing(examples)
    exact_sum: float = 0
    f1_sum: float = 0
    for example in examples:
        exact, overlap = _example_scores(example, predictions.get(example.id), "v1.1", normalizer(language))
        exact_sum += exact
        f1_sum += overlap
    return {"exact_match": 100.0 * exact_sum / len(examples), "f1": 100.0 * f1_sum / len(examples)}


def score_v2(
    examples: Sequence[Example],
    predictions: Predictions,
    null_odds: Mapping[str, float] | None = None,
    null_threshold: float = 1.0,
    language: str | None = None,
) -> dict[str, float]:
    """What `evaluate-v2.0.py` prints: `exact`, `f1`, `total`, and the same as `HasAns_…` and `NoAns_…`.

    With null odds also `best_exact`, `best_f1` and their `…_thresh`, and the average precisions `pr_exact_ap`,
    `pr_f1_ap`, `pr_oracle_ap` (which the official scorer prints beside its plots, `--out-image-dir`).

    A question without a prediction scores 0 in every line; the official scorer stops with a KeyError there.
    """
    _refuse_nothing(examples)
    raw = _raw_scores(examples, predictions, "v2.0", language)
    answerable = {example.id: example.answerable for example in examples}
    final = _with_threshold(raw, predictions, answerable, null_odds, null_threshold)
    result = _means(final, list(final))
    for name, kind in (("HasAns", True), ("NoAns", False)):
        ids = [key for key, has_answer in answerable.items() if has_answer is kind]
        if ids:
            result |= {f"{name}_{key}": value for key, value in _means(final, ids).items()}
    if null_odds is not None:
        ranked = [key for key in sorted(null_odds, key=null_odds.__getitem__) if key in raw]
        for place, name in enumerate(("exact", "f1")):
            values = {key: pair[place] for key, pair in raw.items()}
            best, threshold = _best_threshold(values, predictions, answerable, null_odds, ranked)
            result |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
        oracle = {key: (float(has), float(has)) for key, has in answerable.items()}
        for name, scores, place in (("exact", raw, 0), ("f1", raw, 1), ("oracle", oracle, 0)):
            if any(answerable.values()):
                values = {key: pair[place] for key, pair in scores.items()}
                result[f"pr_{name}_ap"] = _average_precision(values, answerable, null_odds, ranked)
    return result


def question_scores(
    examples: Sequence[Example],
    predictions: Predictions,
    null_odds: Mapping[str, float] | None = None,
    null_threshold: float = 1.0,
    rules: Rules | None = None,
    language: str | None = None,
) -> dict[str, tuple[float, float]]:
    """Id to (EM, F1) from 0 to 1, by the rules that `score` would follow: their means are its numbers."""
    chosen = rules_for(examples, null_odds, rules)
    raw = _raw_scores(examples, predictions, chosen, language)
    if chosen == "v1.1":
        return raw
    answerable = {example.id: example.answerable for example in examples}
    return _with_threshold(raw, predictions, answerable, null_odds, null_threshold)


def rules_for(
    examples: Sequence[Example], null_odds: Mapping[str, float] | None = None, rules: Rules | None = None
) -> Rules:
    """The rules that `score` follows: those asked for, else v2.0 if a question has no answer or odds are given."""
    if rules is not None:
        return rules
    return "v1.1" if null_odds is None and all(example.answerable for example in examples) else "v2.0"


def rules_of(squad_v2: bool) -> Rules:
    """The rules for a model by whether it was trained with `--squad-v2`."""
    return "v2.0" if squad_v2 else "v1.1"


def _refuse_nothing(examples: Sequence[Example]) -> None:
    if not examples:
        raise DataError("there is no question to score", expected="at least one example", found="none")


def _raw_scores(
    examples: Sequence[Example], predictions: Predictions, rules: Rules, language: str | None
) -> dict[str, tuple[float, float]]:
    normalize = normalizer(language)
    return {example.id: _example_scores(example, predictions.get(example.id), rules, normalize) for example in examples}


def _example_scores(
    example: Example, prediction: str | None, rules: Rules, normalize: Callable[[str], str]
) -> tuple[int, float]:
    if prediction is None:
        return 0, 0
    golds = [answer.text for answer in example.answers]
    if rules == "v2.0":
        golds = [gold for gold in golds if normalize(gold)] or [""]
    return _pair_scores(prediction, golds, rules, normalize)


def _pair_scores(
    prediction: str, golds: Sequence[str], rules: Rules, normalize: Callable[[str], str]
) -> tuple[int, float]:
    """Highest EM and highest F1 over the golds, which need not come from the same gold."""
    answer = normalize(prediction)
    words = answer.split()
    bag = Counter(words)
    exact, best = 0, 0.0
    for gold in dict.fromkeys(golds):
        meant = normalize(gold)
        exact = max(exact, int(answer == meant))
        if rules == "v2.0" and not (answer and meant):
            best = max(best, int(answer == meant))
        else:
            best = max(best, _overlap(words, bag, meant.split()))
    return exact, best


def _overlap(words: list[str], bag: Counter[str], gold_words: list[str]) -> float:
    """F1 of two bags: a word counts as often as it occurs in both."""
    same = sum(min(bag[word], count) for word, count in Counter(gold_words).items() if word in bag)
    if same == 0:
        return 0.0
    precision, recall = same / len(words), same / len(gold_words)
    return (2 * precision * recall) / (precision + recall)


def _with_threshold(
    raw: dict[str, tuple[float, float]],
    predictions: Predictions,
    answerable: Mapping[str, bool],
    null_odds: Mapping[str, float] | None,
    threshold: float,
) -> dict[str, tuple[float, float]]:
    """The scores after every answer whose odds of "no answer" are above the threshold was withdrawn."""
    if null_odds is None:
        return raw
    present = [key for key in raw if predictions.get(key) is not None]
    without = [key for key in present if key not in null_odds]
    if without:
        raise DataError(
            f"{len(without)} of {len(present)} predictions have no null odds",
            where=f"id {without[0]!r}",
            expected="null odds for every prediction",
            fix="write both files with the same command",
        )
    withdrawn = {key: float(not answerable[key]) for key in present if null_odds[key] > threshold}
    return {key: (withdrawn[key], withdrawn[key]) if key in withdrawn else pair for key, pair in raw.items()}


def _means(scores: Mapping[str, tuple[float, float]], ids: Sequence[str]) -> dict[str, float]:
    total = len(ids)
    exact, overlap = (100.0 * sum(scores[key][place] for key in ids) / total for place in (0, 1))
    return {"exact": exact, "f1": overlap, "total": total}


def _best_threshold(
    scores: Mapping[str, float],
    predictions: Predictions,
    answerable: Mapping[str, bool],
    null_odds: Mapping[str, float],
    ranked: Sequence[str],
) -> tuple[float, float]:
    """The highest score that any threshold on the odds reaches, and the lowest such threshold.

    From "answer nothing", the questions are answered one by one in order of rising odds; each moves the sum by what its
    answer earns, or by -1 if there is nothing to answer. As in the official scorer the start counts as threshold 0,
    and equal odds are taken one after another.
    """
    current: float = sum(not has_answer for has_answer in answerable.values())
    best, threshold = current, 0.0
    for key in ranked:
        current += scores[key] if answerable[key] else -bool(predictions.get(key))
        if current > best:
            best, threshold = current, null_odds[key]
    return 100.0 * best / len(scores), threshold


def _average_precision(
    scores: Mapping[str, float],
    answerable: Mapping[str, bool],
    null_odds: Mapping[str, float],
    ranked: Sequence[str],
) -> float:
    """Area under the precision-recall curve of answering in order of rising odds, in per cent."""
    positives = sum(answerable.values())
    correct, area, last_recall = 0.0, 0.0, 0.0
    for place, key in enumerate(ranked):
        if answerable[key]:
            correct += scores[key]
        if place == len(ranked) - 1 or null_odds[key] != null_odds[ranked[place + 1]]:  # a threshold fits in here
            recall = correct / positives
            area += correct / (place + 1) * (recall - last_recall)
            last_recall = recall
    return 100.0 * area


def headline(scored: Mapping[str, float]) -> dict[str, float]:
    """`em` and `f1` out of what `score` returns: v1.1 and v2.0 call exact match by different names."""
    return {"em": scored["exact_match"] if "exact_match" in scored else scored["exact"], "f1": scored["f1"]}
