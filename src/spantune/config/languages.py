"""The languages whose answers can be scored by rules of their own, and the scripts that they are written in."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES_OF_SCRIPT: Mapping[str, tuple[str, ...]] = {
    script: tuple(languages.split())
    for script, languages in {
        "Latin": "ca cs da de en es et eu fi fr hr hu id it lt lv ms nb nl pl pt ro sk sl sr sv sw tr vi",
        "Han": "zh ja",
        "Japanese": "ja",
        "Hangul": "ko",
        "Arabic": "ar fa ur",
        "Hebrew": "he",
        "Cyrillic": "ru bg mk sr uk",
        "Greek": "el",
        "Devanagari": "hi mr ne",
        "Bengali": "bn",
        "Gujarati": "gu",
        "Gurmukhi": "pa",
        "Tamil": "ta",
        "Telugu": "te",
        "Kannada": "kn",
        "Malayalam": "ml",
        "Sinhala": "si",
        "Thai": "th",
        "Lao": "lo",
        "Khmer": "km",
        "Myanmar": "my",
        "Georgian": "ka",
        "Armenian": "hy",
        "Ethiopic": "am",
    }.items()
}
"""The languages (ISO 639-1) that are written in a script; Japanese is Han with kana."""
LANGUAGES = tuple(sorted({language for some in LANGUAGES_OF_SCRIPT.values() for language in some}))


def rule_name(language: str | None) -> str:
    """What the rule for a language is called: MLQA's, or without a language the official one."""
    return "the official SQuAD rule" if language is None else f"MLQA's rules for {language}"
