from __future__ import annotations

from typing import Any, Literal

import pytest

from spantune.config.parse.convert import Mistyped, expected, from_words, from_yaml, metavar

Choice = Literal["linear", "cosine"]


@pytest.mark.parametrize(
    ("words", "hint", "value"),
    [
        (["3"], int, 3),
        (["1e-3"], float, 1e-3),
        (["-2"], int, -2),
        (["3"], str, "3"),
        (["none"], float | None, None),
        (["None"], str | None, None),
        (["none"], str, "none"),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        ([], tuple[str, ...], ()),
        (["1", "2"], tuple[int, ...], (1, 2)),
        (["cosine"], Choice, "cosine"),
    ],
)
def test_words_of_a_flag(words: list[str], hint: Any, value: Any) -> None:
    found = from_words(words, hint)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("words", "hint", "message"),
    [
        (["x"], int, "expected a whole number, found 'x'"),
        (["3.5"], int, "expected a whole number, found '3.5'"),
        (["nan"], float, "expected a number, found 'nan'"),
        (["inf"], float | None, "expected a number or nothing (null), found 'inf'"),
        (["cosin"], Choice, "expected one of linear, cosine, found 'cosin', did you mean cosine?"),
        (["1", "x"], tuple[int, ...], "expected a list of values, each a whole number, found '1 x'"),
        (["a", "b"], str, "expected text, found 2 values: a b"),
    ],
)
def test_wrong_words_say_what_was_expected(words: list[str], hint: Any, message: str) -> None:
    with pytest.raises(Mistyped) as raised:
        from_words(words, hint)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("value", "hint", "typed"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (None, float | None, None),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        ("squad", tuple[str, ...], ("squad",)),
        ([0, 1], tuple[int, ...], (0, 1)),
        (False, bool, False),
        ("cosine", Choice, "cosine"),
    ],
)
def test_yaml_values(value: Any, hint: Any, typed: Any) -> None:
    found = from_yaml(value, hint)
    assert found == typed and type(found) is type(typed)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("3", int, "expected a whole number, found '3' (text)"),
        (True, int, "expected a whole number, found True (true or false)"),
        (True, float, "expected a number, found True (true or false)"),
        (3.5, int, "expected a whole number, found 3.5 (a number)"),
        ("yes", bool, "expected true or false, found 'yes' (text)"),
        (1, bool, "expected true or false, found 1 (a whole number)"),
        (False, str, "expected text, found False (true or false)"),
        (None, int, "expected a whole number, found null"),
        (None, tuple[str, ...], "expected a list of values, each text, found null"),
        ([1], tuple[str, ...], "expected a list of values, each text, found [1] (a list)"),
        ({"a": 1}, int, "expected a whole number, found {'a': 1} (a mapping)"),
        (float("nan"), float, "expected a number, found nan (a number)"),
    ],
)
def test_yaml_keeps_types_apart(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(Mistyped) as raised:
        from_yaml(value, hint)
    assert str(raised.value) == message


def test_placeholders_and_words_of_a_type() -> None:
    assert metavar(tuple[int, ...]) == "INT ..."
    assert metavar(float | None) == "FLOAT"
    assert metavar(Choice) == "{linear,cosine}"
    assert expected(int | None) == "a whole number or nothing (null)"
