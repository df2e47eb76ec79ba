"""Answers in other languages: MLQA's rules against a golden file that was written by hand from their description."""

from __future__ import annotations

import json
import string
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.config import ScoringConfig
from spantune.config.languages import LANGUAGES
from spantune.data import Answer, Example
from spantune.errors import ConfigError
from spantune.scoring.official_metrics import exact_match, f1, normalize_answer, normalizer, question_scores, score
from spantune.scoring.scores import score_runs

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mlqa.json").read_text(encoding="utf-8"))
ENGLISH = st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " \t\n")


def asked(*golds: str, id: str = "q") -> Example:
    return Example(id, "", "", tuple(Answer(gold, 0) for gold in golds))


def test_the_golden_file_has_every_language_that_the_rules_differ_for() -> None:
    assert len(GOLDEN) >= 60
    assert {"en", "es", "de", "ar", "hi", "vi", "zh", "ja", "th"} <= {case["language"] for case in GOLDEN}


@pytest.mark.parametrize("case", GOLDEN, ids=[f"{case['language']} {case['prediction']}" for case in GOLDEN])
def test_an_answer_is_scored_as_the_golden_file_says(case: dict[str, Any]) -> None:
    language, prediction = case["language"], case["prediction"]
    assert normalizer(language)(prediction) == case["normalised"]
    ((em, overlap),) = question_scores(
        [asked(*case["accepted"])], {"q": prediction}, rules="v1.1", language=language
    ).values()
    assert em == case["em"]
    assert overlap == pytest.approx(float(Fraction(case["f1"])), abs=1e-12)


def test_a_mean_over_questions_is_scored_by_the_rules_of_the_language() -> None:
    examples = [asked("北京市", id="a"), asked("《红楼梦》", id="b")]
    answers = {"a": "北京", "b": "红楼梦"}
    by_mlqa, official = score(examples, answers, language="zh"), score(examples, answers)
    assert (by_mlqa["exact_match"], by_mlqa["f1"]) == (50.0, pytest.approx(90.0))
    assert (official["exact_match"], official["f1"]) == (0.0, 0.0)
    scores = score_runs(examples, {"lora": [answers]}, language="zh")
    assert scores.language == "zh" and scores.f1.tolist() == [[0.8, 1.0]]


def test_questions_without_an_answer_count_as_under_v2_0() -> None:
    examples = [asked("北京市", id="a"), asked(id="b"), asked("的。", id="c")]
    scored = score(examples, {"a": "北京", "b": "", "c": "的"}, language="zh")
    assert scored["HasAns_f1"] == pytest.approx(90.0) and scored["NoAns_f1"] == 100.0


def test_an_article_alone_is_no_answer_under_v2_0() -> None:
    assert question_scores([asked("la")], {"q": ""}, rules="v2.0", language="es") == {"q": (1, 1)}
    assert question_scores([asked("la")], {"q": ""}, rules="v2.0") == {"q": (0, 0)}


@given(ENGLISH, ENGLISH)
def test_english_in_ascii_is_scored_as_by_the_official_rule(prediction: str, gold: str) -> None:
    assert normalizer("en")(prediction) == normalize_answer(prediction)
    assert f1(prediction, [gold], "en") == f1(prediction, [gold])
    assert exact_match(prediction, [gold], "en") == exact_match(prediction, [gold])


@given(st.text(), st.sampled_from(LANGUAGES))
def test_what_is_compared_is_words_with_a_blank_between(text: str, language: str) -> None:
    normalised = normalizer(language)(text)
    assert " ".join(normalised.split()) == normalised
    assert exact_match(text, [text], language) == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"scoring": "mlqa"}, r"language: expected one of am, ar, .*, zh \(for --scoring mlqa\), found nothing"),
        ({"scoring": "mlqa", "language": "klingon"}, "found 'klingon'"),
        ({"scoring": "mlqa", "language": ""}, "found ''"),
        ({"language": "zh"}, r"language: given \(zh\), but it is for --scoring mlqa"),
        ({"scoring": "rouge"}, "scoring: expected squad or mlqa, found 'rouge'"),
    ],
)
def test_a_rule_without_its_language_is_refused_and_a_language_without_its_rule(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        ScoringConfig(**settings)
