"""The doctor, `evaluate` and training say where the script of the answers does not fit the scoring rule."""

from __future__ import annotations

import time

import pytest

from spantune.config.languages import LANGUAGES
from spantune.data import Answer, Example
from spantune.data.checks.scripts import dominant_script, script_note


def answered(*texts: str) -> list[Example]:
    return [Example(str(at), "?", text, (Answer(text, 0),)) for at, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Marie Curie, 1903", "Latin"),
        ("北京 (Beijing) 是中国的首都，人口两千万", "Han"),
        ("東京タワーは東京にある", "Japanese"),
        ("アメリカ", "Japanese"),
        ("所謂「の」字，日文也。此乃中文無疑，不可混淆，是為記", "Han"),
        ("กรุงเทพมหานคร", "Thai"),
        ("서울특별시", "Hangul"),
        ("Санкт-Петербург", "Cyrillic"),
        ("القاهرة", "Arabic"),
        ("नई दिल्ली", "Devanagari"),
        ("Αθήνα", "Greek"),
        ("1903", None),
        ("", None),
    ],
)
def test_the_dominant_script_of_the_answers(text: str, script: str | None) -> None:
    assert dominant_script(answered(text)) == script


def test_no_examples_have_no_script() -> None:
    assert dominant_script([]) is None
    assert dominant_script([Example("a", "?", "北京", ())]) is None


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("北京", "F1 is 0 or 100; --scoring mlqa --language zh (or ja)"),
        ("東京タワー", "F1 is 0 or 100; --scoring mlqa --language ja"),
        ("กรุงเทพ", "F1 is 0 or 100; --scoring mlqa --language th"),
        ("Москва", "punctuation of ASCII alone; --scoring mlqa --language ru (or bg, mk, sr, uk)"),
        ("القاهرة", "punctuation of ASCII alone; --scoring mlqa --language ar (or fa, ur)"),
    ],
)
def test_the_official_rule_on_other_scripts_is_noted_with_the_rule_that_fits(text: str, use: str) -> None:
    assert use in (script_note(answered(text), None) or "")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Marie Curie", None),
        ("Marie Curie", "de"),
        ("北京", "zh"),
        ("東京", "ja"),
        ("Београд", "sr"),
        ("Beograd", "sr"),
    ],
)
def test_a_script_that_fits_the_rule_is_not_noted(text: str, language: str | None) -> None:
    assert script_note(answered(text), language) is None


@pytest.mark.parametrize(
    ("text", "language", "note"),
    [
        ("Москва", "zh", "written in Cyrillic, which zh is not: --language is to be ru (or bg, mk, sr, uk)"),
        ("Paris", "zh", "written in Latin, which zh is not: --language is to be the language that they are in"),
        ("東京タワー", "zh", "written in Japanese, which zh is not: --language is to be ja"),
    ],
)
def test_a_language_of_another_script_is_noted(text: str, language: str, note: str) -> None:
    assert note in (script_note(answered(text), language) or "")


def test_every_language_has_a_script_and_a_large_set_costs_next_to_nothing() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES)) and "no" not in LANGUAGES  # which YAML reads as false
    examples = answered(*(f"答案{number}" for number in range(100_000)))
    begin = time.perf_counter()
    assert script_note(examples, None)
    assert time.perf_counter() - begin < 1
