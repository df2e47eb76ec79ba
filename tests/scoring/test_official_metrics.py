"""EM and F1 against golden numbers of the official scorers, a second implementation of them, and torchmetrics.

`golden/*-expected.json` holds what the published `evaluate-v1.1.py` and `evaluate-v2.0.py` print for the files beside
it; the comments below derive some of the numbers by hand.
"""

import json
import random
import runpy
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.data.example import Answer, Example
from spantune.errors import DataError
from spantune.scoring.official_metrics import (
    exact_match,
    f1,
    normalize_answer,
    question_scores,
    score,
    score_v1,
    score_v2,
)

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
official_v11 = runpy.run_path(str(HERE / "official_v11.py"))["evaluate"]
official_v20 = runpy.run_path(str(HERE / "official_v20.py"))["evaluate"]
normalise = runpy.run_path(str(HERE / "official_v11.py"))["normalise"]


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def examples_of(articles):
    """Read by hand, so that these tests ask nothing of the readers."""
    return [
        Example(
            qa["id"],
            qa["question"],
            paragraph["context"],
            tuple(Answer(answer["text"], answer["answer_start"]) for answer in qa["answers"]),
        )
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


V1, V2 = golden("v1.1-references")["data"], golden("v2.0-references")["data"]
P1, P2, ODDS = golden("v1.1-predictions"), golden("v2.0-predictions"), golden("v2.0-null-odds")


# --- golden numbers ---------------------------------------------------------------------------------------------------


def test_v11_equals_the_official_numbers():
    # 25 questions. EM: article, punctuation, several-exact, composed, em-dash-article, spaces, only-articles and
    # only-punctuation are right: 8 / 25 = 32 %. F1: the first six of them earn 1 (the last two have no words left),
    # part 0.4, bag 0.75, repeated-in-gold 1/3, several 0.75, cjk 2/3, thirds 0.4: 9.3 / 25 = 37.2 %.
    expected = golden("v1.1-expected")
    assert expected == {"exact_match": 32.0, "f1": 37.2}
    assert score_v1(examples_of(V1), P1) == expected
    assert official_v11(V1, P1) == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("plain", ()), ("with_null_odds", (ODDS,)), ("with_null_odds_above_0", (ODDS, 0.0))],
)
def test_v20_equals_the_official_numbers(name, arguments):
    # Plain: 24 questions with an answer, 4 without. EM 8 of 24 and 2 of 4: 10 / 28 = 35.714 %. F1: as above, and under
    # v2.0 an answer without words equals a gold without words: 9.3 + 2 of 24 and 2 of 4: 13.3 / 28 = 47.5 %.
    expected = golden("v2.0-expected")[name]
    assert score_v2(examples_of(V2), P2, *arguments) == expected
    assert official_v20(V2, P2, *arguments) == expected


@pytest.mark.parametrize(
    ("identity", "scores"),
    [
        ("article", (1, 1)),  # eiffel tower = (the) eiffel tower
        ("punctuation", (1, 1)),  # st johns 1842
        ("part", (0, 0.4)),  # P 1/1, R 1/4 (in city of paris): 2 · 0.25 / 1.25
        ("bag", (0, 0.75)),  # new new new york / new york new york: 2 + 1 in common, P = R = 3/4
        ("several", (0, 0.75)),  # curie born maria / marie curie born maria skłodowska: P 3/3, R 3/5
        ("several-exact", (1, 1)),
        ("decomposed", (0, 0)),  # e + combining acute is not é: the scorers normalise no Unicode
        ("composed", (1, 1)),
        ("curly", (0, 0)),  # curly quotes are not punctuation: “ end” has the words “ and end”
        ("em-dash", (0, 0)),  # an em dash neither vanishes nor separates words
        ("em-dash-article", (1, 1)),  # but it ends a word: the article in vitamin—a goes
        ("cjk", (0, 2 / 3)),  # words are what white space separates: P 1, R 1/2
        ("cjk-stop", (0, 0)),  # the ideographic full stop stays
        ("turkish", (0, 0)),  # İ in lower case is i and a combining dot
        ("only-articles", (1, 0)),
        ("empty", (0, 0)),
        ("missing", (0, 0)),
    ],
)
def test_one_question_by_hand(identity, scores):
    assert question_scores(examples_of(V1), P1)[identity] == pytest.approx(scores, abs=1e-15)


def test_v20_scores_answers_without_words_otherwise():
    scores = question_scores(examples_of(V2), P2)
    assert scores["only-articles"] == (1, 1)  # every gold is filtered, "" is left, and so is "" of the prediction
    assert scores["none-right"] == scores["none-article"] == (1, 1)
    assert scores["none-wrong"] == (0, 0)


# --- against the reference --------------------------------------------------------------------------------------------

word = st.sampled_from(
    ["the", "A", "an", "cat", "Cat.", "dog", "cat's", "—", "a—b", "é", "e\u0301", "東京", "“the”", "!"]
)
text = st.one_of(
    st.lists(word, max_size=6).map(" ".join),
    st.text(alphabet="aAnthe .,'_-\t\u00a0“—éß\u0301東İ\x1c\u200b", max_size=12),
    st.text(max_size=12),
)
answered = st.lists(text, min_size=1, max_size=4)


def articles_of(golds):
    qas = [
        {"id": f"q{number}", "question": "?", "answers": [{"text": one, "answer_start": 0} for one in some]}
        for number, some in enumerate(golds)
    ]
    return [{"paragraphs": [{"context": "", "qas": qas}]}]


@given(text)
def test_normalisation_equals_the_reference(string):
    assert normalize_answer(string) == normalise(string)


@given(st.lists(st.tuples(answered, st.none() | text), min_size=1, max_size=12))
def test_v11_equals_the_reference(questions):
    articles = articles_of([golds for golds, _ in questions])
    predictions = {f"q{number}": said for number, (_, said) in enumerate(questions) if said is not None}
    assert score_v1(examples_of(articles), predictions) == official_v11(articles, predictions)


@given(
    st.lists(st.tuples(st.just([]) | answered, text, st.integers(-3, 3) | st.floats(-5, 5)), min_size=1, max_size=12),
    st.sampled_from([1.0, 0.0, -1.0]),
    st.booleans(),
)
def test_v20_equals_the_reference(questions, threshold, with_odds):
    articles = articles_of([golds for golds, _, _ in questions])
    predictions = {f"q{number}": said for number, (_, said, _) in enumerate(questions)}
    odds = {f"q{number}": value for number, (_, _, value) in enumerate(questions)} if with_odds else None
    found = score_v2(examples_of(articles), predictions, odds, threshold)
    assert found == official_v20(articles, predictions, odds, threshold)
    scores = question_scores(examples_of(articles), predictions, odds, threshold, rules="v2.0")
    assert 100.0 * sum(pair[1] for pair in scores.values()) / len(scores) == found["f1"]


@given(text, answered)
def test_a_perfect_prediction_and_bounds(said, golds):
    assert exact_match(golds[0], golds) == 1
    assert f1(golds[0], golds) == 1
    assert 0 <= exact_match(said, golds) <= f1(said, golds) <= 1  # under v2.0 EM implies F1
    assert f1(said, golds) == max(f1(said, [gold]) for gold in golds)


def test_torchmetrics_agrees():
    squad = pytest.importorskip("torchmetrics.text").SQuAD()
    examples = [example for example in examples_of(V1) if example.id in P1]
    said = [{"prediction_text": P1[example.id], "id": example.id} for example in examples]
    meant = [
        {"answers": {"answer_start": [0] * len(e.answers), "text": [a.text for a in e.answers]}, "id": e.id}
        for e in examples
    ]
    theirs = {name: value.item() for name, value in squad(said, meant).items()}  # fp32
    # It gives F1 as v2.0 does to the two answers without words, although it follows v1.1 else.
    ours = score_v2(examples, P1)
    assert {"exact_match": ours["exact"], "f1": ours["f1"]} == pytest.approx(theirs, rel=1e-6)
    difference = 100 * 2 / len(examples)
    assert score_v1(examples, P1) == pytest.approx({**theirs, "f1": theirs["f1"] - difference}, rel=1e-6)


# --- score ------------------------------------------------------------------------------------------------------------


def test_score_follows_v11_where_every_question_has_an_answer_and_counts():
    found = score(examples_of(V1), {**P1, "wrong": None})
    assert found == {**golden("v1.1-expected"), "total": 25, "missing": 2, "unknown": 1}


def test_score_follows_v20_where_one_has_none_or_null_odds_are_given():
    expected = golden("v2.0-expected")
    found = score(examples_of(V2), P2)
    assert found == {**expected["plain"], "exact_match": expected["plain"]["exact"], "missing": 0, "unknown": 0}
    answerable = [example for example in examples_of(V2) if example.answerable]
    assert "best_f1" in score(answerable, P2, ODDS)
    assert "HasAns_f1" in score(answerable, P2, rules="v2.0")
    assert "HasAns_f1" not in score(answerable, P2)


def test_v20_counts_a_question_without_prediction_as_wrong():
    examples = examples_of(V2)
    fewer = {key: value for key, value in P2.items() if key not in ("none-right", "article")}
    found, whole = score(examples, fewer, ODDS, 9.0), score(examples, P2, ODDS, 9.0)
    assert (found["missing"], found["total"]) == (2, whole["total"])
    assert found["exact"] == pytest.approx(whole["exact"] - 100 * 2 / 28)
    assert found["NoAns_exact"] == pytest.approx(whole["NoAns_exact"] - 100 / 4)
    assert found["best_exact"] <= whole["best_exact"]


def test_predictions_without_null_odds_are_refused():
    fewer = {key: value for key, value in ODDS.items() if key != "part"}
    with pytest.raises(DataError, match=r"1 of 28 predictions have no null odds[\s\S]*'part'"):
        score(examples_of(V2), P2, fewer)


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="no question to score"):
        score([], {})


def test_a_whole_validation_set_takes_about_a_second():
    chooser = random.Random(0)
    words = [f"word{number}" for number in range(300)] + ["the", "a", "St.", "(1842)"] * 20

    def phrase():
        return " ".join(chooser.choices(words, k=chooser.randint(1, 6)))

    examples = [Example(str(number), "?", "", tuple(Answer(phrase(), 0) for _ in range(3))) for number in range(10_570)]
    predictions = {example.id: phrase() for example in examples}
    begun = time.process_time()
    score(examples, predictions)
    assert time.process_time() - begun < 3  # 0.3 s where it was written
