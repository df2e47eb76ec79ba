"""Reference: what `evaluate-v1.1.py` computes, written once more, plainly and slowly, for tests to compare with.

It shares no line with `spantune.scoring.official_metrics`.
Its order of floating-point operations alone is the official one.
"""

import re
import string


def normalise(text):
    text = text.lower()
    for mark in string.punctuation:
        text = text.replace(mark, "")
    for article in re.findall(r"\b(?:a|an|the)\b", text):
        text = re.sub(rf"\b{article}\b", " ", text, count=1)
    return " ".join(text.split())


def shared_words(some, others):
    """How many words both lists hold, each as often as it stands in both."""
    left = list(others)
    for word in some:
        if word in left:
            left.remove(word)
    return len(others) - len(left)


def word_f1(prediction, gold):
    said, meant = normalise(prediction).split(), normalise(gold).split()
    same = shared_words(said, meant)
    if same == 0:
        return 0
    precision = 1.0 * same / len(said)
    recall = 1.0 * same / len(meant)
    return (2 * precision * recall) / (precision + recall)


def evaluate(articles, predictions):
    """The scorer's dictionary for the `data` list of a SQuAD file."""
    questions = [qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    exact = overlap = 0
    for qa in questions:
        if qa["id"] not in predictions:
            continue  # the script warns: "will receive score 0"
        prediction = predictions[qa["id"]]
        golds = [answer["text"] for answer in qa["answers"]]
        exact += max(normalise(prediction) == normalise(gold) for gold in golds)
        overlap += max(word_f1(prediction, gold) for gold in golds)
    return {"exact_match": 100.0 * exact / len(questions), "f1": 100.0 * overlap / len(questions)}
