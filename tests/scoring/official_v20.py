"""Reference: what `evaluate-v2.0.py` computes, written once more, plainly and slowly, for tests to compare with.

It shares no line with `spantune.scoring.official_metrics`.
Its order of floating-point operations alone is the official one.
A question without a prediction stops it, as it stops the script.
"""

import runpy
from pathlib import Path

V11 = runpy.run_path(str(Path(__file__).with_name("official_v11.py")))
normalise, word_f1 = V11["normalise"], V11["word_f1"]


def pair_f1(prediction, gold):
    said, meant = normalise(prediction), normalise(gold)
    if said == "" or meant == "":
        return int(said == meant)
    return word_f1(prediction, gold)


def evaluate(articles, predictions, null_odds=None, threshold=1.0):
    """The scorer's dictionary for the `data` list of a SQuAD file; null odds as from `--na-prob-file`."""
    questions = {qa["id"]: qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]}
    exact, overlap = {}, {}
    for name, qa in questions.items():
        golds = [answer["text"] for answer in qa["answers"] if normalise(answer["text"]) != ""]
        if golds == []:
            golds = [""]
        exact[name] = max(int(normalise(predictions[name]) == normalise(gold)) for gold in golds)
        overlap[name] = max(pair_f1(predictions[name], gold) for gold in golds)

    answered_exact, answered_overlap = dict(exact), dict(overlap)
    for name, qa in questions.items():
        if null_odds is not None and null_odds[name] > threshold:
            answered_exact[name] = answered_overlap[name] = 0.0 if qa["answers"] else 1.0

    with_answer = [name for name, qa in questions.items() if qa["answers"]]
    without = [name for name, qa in questions.items() if not qa["answers"]]
    result = {}
    for prefix, names in (("", list(questions)), ("HasAns_", with_answer), ("NoAns_", without)):
        if names:
            result[prefix + "exact"] = 100.0 * sum(answered_exact[name] for name in names) / len(names)
            result[prefix + "f1"] = 100.0 * sum(answered_overlap[name] for name in names) / len(names)
            result[prefix + "total"] = len(names)
    if null_odds is not None:
        ranked = sorted(null_odds, key=lambda name: null_odds[name])
        for metric, scores in (("exact", exact), ("f1", overlap)):
            best, best_at = sweep(scores, predictions, null_odds, ranked, set(without))
            result[f"best_{metric}"] = 100.0 * best / len(questions)
            result[f"best_{metric}_thresh"] = best_at
        oracle = {name: 1.0 if name in with_answer else 0.0 for name in questions}
        if with_answer:
            for metric, scores in (("exact", exact), ("f1", overlap), ("oracle", oracle)):
                area = area_under_curve(scores, null_odds, ranked, set(with_answer))
                result[f"pr_{metric}_ap"] = 100.0 * area
    return result


def sweep(scores, predictions, null_odds, ranked, without):
    """Best sum of scores when only the first n questions by odds are answered, and the odds of the n-th."""
    sums, thresholds = [len(without)], [0.0]
    for name in ranked:
        change = (-1 if predictions[name] != "" else 0) if name in without else scores[name]
        sums.append(sums[-1] + change)
        thresholds.append(null_odds[name])
    first_best = sums.index(max(sums))
    return sums[first_best], thresholds[first_best]


def area_under_curve(scores, null_odds, ranked, with_answer):
    """Average precision over all places where a threshold separates two odds."""
    points = []
    correct = 0.0
    for count, name in enumerate(ranked, start=1):
        if name in with_answer:
            correct += scores[name]
        if count == len(ranked) or null_odds[ranked[count]] != null_odds[name]:
            points.append((correct / float(count), correct / float(len(with_answer))))
    area, before = 0.0, 0.0
    for precision, recall in points:
        area += precision * (recall - before)
        before = recall
    return area
