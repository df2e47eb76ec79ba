"""Every accepted answer is spelled by its tokens, or counted as one that the model cannot say."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from many_tokenizers import BUILDS, WORDS, tokenizer_of

from spantune.answering import unsayable as module
from spantune.answering import window_cutting
from spantune.answering.unsayable import ONE_TOKEN, SPLIT, TOO_LONG, UnsayableAnswers, unsayable_answers
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import WindowConfig
from spantune.data import Answer, Corpus, Example
from spantune.errors import DataError, EncoderError

QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def windows_of(examples: list[Example], tokenizer: Any, *, max_length: int = 64, doc_stride: int = 8) -> Windows:
    config = WindowConfig(max_length=max_length, doc_stride=doc_stride)
    rules = window_rules(config, tokenizer, longest=512, segment_ids=False)
    return make_windows(Corpus.of(examples, "x"), tokenizer, rules, cache=False)


def example_of(context: str, *texts: str, id: str = "1") -> Example:
    return Example(id, "What is it?", context, tuple(Answer(text, context.index(text)) for text in texts))


def unsayable(*examples: Example, build: str, longest: int = 60, **lengths: int) -> UnsayableAnswers:
    return unsayable_answers(windows_of(list(examples), tokenizer_of(build), **lengths), longest)


def said(windows: Windows) -> dict[int, set[str]]:
    """By answer (of the only example), the texts of its labels in all windows."""
    texts: dict[int, set[str]] = {}
    context = windows.corpus.examples[0].context
    for row in windows.dataset:
        for start, end, answer in zip(row["starts"], row["ends"], row["answers"], strict=True):
            at = 2 * (start - row["context_first"]), 2 * (end - row["context_first"]) + 1
            texts.setdefault(answer, set()).add(context[row["offsets"][at[0]] : row["offsets"][at[1]]])
    return texts


def without_outer_punctuation(text: str) -> str:
    """As the scorers see it, and without what no tokenizer keeps: format characters at the ends."""
    ignored = [one for one in text if unicodedata.category(one)[0] in "PZC" or one in "$+<=>^`|~"]
    return text.strip("".join(ignored))


@st.composite
def answered(draw: st.DrawFn) -> Example:
    """Words of many scripts with a few answers of whole words, and one of any characters."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
    joints = draw(st.lists(st.sampled_from([" ", "  ", "\n", ", ", " ("]), min_size=len(words), max_size=len(words)))
    context = "".join(word + joint for word, joint in zip(words, joints, strict=True))
    begins = [match.start() for match in re.finditer(r"\S+", context)]
    answers = []
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.sampled_from(begins))
        end = draw(st.sampled_from([match.end() for match in re.finditer(r"\S+", context) if match.end() > begin][:4]))
        answers.append(Answer(context[begin:end], begin))
    begin = draw(st.integers(0, len(context) - 1))
    text = context[begin : begin + draw(st.integers(1, 9))]
    return Example("1", "What?", context, (*answers, *[Answer(text, begin)] * bool(text.strip())))


@pytest.mark.parametrize("build", BUILDS)
@given(example=answered(), doc_stride=st.sampled_from([0, 5, 16]))
@QUICK
def test_every_answer_is_spelled_or_counted(build: str, example: Example, doc_stride: int) -> None:
    windows = windows_of([example], tokenizer_of(build), max_length=48, doc_stride=doc_stride)
    counted = unsayable_answers(windows, 10**6)
    texts = said(windows)
    assert counted.labelled == len(texts)
    wrong = []
    for answer, spelled in texts.items():
        (says,), meant = spelled, example.answers[answer].text
        if without_outer_punctuation(says) != without_outer_punctuation(meant):
            wrong.append((meant, says))
    assert sorted((one.text, one.says) for one in counted.answers) == sorted(wrong)
    assert all(one.reason in (SPLIT, ONE_TOKEN) for one in counted.answers)


@pytest.mark.parametrize("build", BUILDS)
@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
@QUICK
def test_words_between_blanks_are_never_unsayable(build: str, words: list[str]) -> None:
    """A token never joins two words, so every word can be said: first letters, vowel signs and marks included."""
    context = " ".join(words)
    places = [match.span() for match in re.finditer(r"\S+", context)]
    example = Example("1", "What?", context, tuple(Answer(context[a:b], a) for a, b in places))
    windows = windows_of([example], tokenizer_of(build), max_length=48, doc_stride=12)
    assert unsayable_answers(windows, 10**6).answers == ()


@pytest.mark.parametrize(
    ("build", "context", "answer"),
    [
        ("Unigram without accents", "राम के पास नदी और घर 3 था।", "नदी"),  # Mc at its end
        ("Unigram without accents", "Take 1\ufe0f\u20e3 of them", "1\ufe0f\u20e3"),  # Me at its end
        ("words, then byte-level with a prefix blank", "Bo built it in Rotterdam in 1841.", "Rotterdam"),
        ("words, then byte-level with a prefix blank", "It costs $5 (or 7) now", "$5"),
        ("split at white space, then byte-level", "Bo built it in Rotterdam in 1841.", "Rotterdam"),
        ("WordPiece uncased", "The e\u0301tude\u0301 was played", "e\u0301tude\u0301"),
    ],
)
def test_an_answer_keeps_its_first_letter_and_its_last_sign(build: str, context: str, answer: str) -> None:
    windows = windows_of([example_of(context, answer)], tokenizer_of(build))
    assert said(windows) == {0: {answer}}
    assert unsayable_answers(windows, 30).answers == ()


def test_answers_longer_than_the_limit() -> None:
    long, short = "Ada built the old mill in Rotterdam", "old mill"
    example = example_of(f"So {long} then", long, short)
    found = unsayable(example, build="WordPiece cased", longest=6)
    assert found.labelled == 2 and [(one.text, one.reason) for one in found.answers] == [(long, TOO_LONG)]
    tokens = len(tokenizer_of("WordPiece cased")(long, add_special_tokens=False)["input_ids"])
    assert found.answers[0].tokens == tokens > 6
    assert found.answers[0].detail(6) == f"{long!r} has {tokens} tokens, more than --max-answer-length 6"
    assert unsayable(example, build="WordPiece cased", longest=tokens).answers == ()
    assert unsayable(example, build="WordPiece cased", longest=tokens - 1).answers != ()


def test_an_answer_inside_a_token() -> None:
    example = example_of("Rotterdam is known", "no", "Rotterdam")
    found = unsayable(example, build="whole words")
    assert [(one.text, one.says) for one in found.answers] == [("no", "known")]


def test_a_text_that_is_one_unknown_token() -> None:
    """Thai on a WordPiece that lacks it, and a word longer than it looks at."""
    thai = "โรงสีเก่าสร้างในปี1841"
    long = "x" * 120 + "1841"
    for context, answer in ((thai, "1841"), (long, "1841")):
        (only,) = unsayable(example_of(context, answer), build="WordPiece cased").answers
        assert (only.reason, only.says, only.text) == (ONE_TOKEN, context, answer)
        assert "one unknown token" in only.detail(30)


def test_an_answer_in_several_windows_counts_once() -> None:
    example = example_of("known " * 60, "no")
    windows = windows_of([example], tokenizer_of("whole words"), max_length=24, doc_stride=6)
    found = unsayable_answers(windows, 30)
    assert len(windows) > 2 and (found.labelled, len(found.answers)) == (1, 1)


def test_more_than_two_in_a_hundred_stop() -> None:
    good = [example_of("the old mill", "mill", id=f"good{number}") for number in range(98)]
    bad = [example_of("It is known", "no", id=f"bad{number}") for number in range(3)]
    unsayable(*good, *bad[:2], build="whole words").refuse("the train set")
    with pytest.raises(DataError) as caught:
        unsayable(*good, *bad, build="whole words").refuse("the train set")
    text = str(caught.value)
    assert "3.0% of the answers cannot be said" in text and "first id 'bad0'" in text
    assert "--allow-unsayable" in text and "another" not in text and "tokenizer" in text
    long = unsayable(example_of("the old mill in Rotterdam", "the old mill"), build="whole words", longest=2)
    with pytest.raises(DataError, match="--max-answer-length 3; or go on"):
        long.refuse("the train set")


def test_without_the_check_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation: where the texts are not compared, the tests above fail."""
    monkeypatch.setattr("spantune.answering.labels.says", lambda *_: True)
    with pytest.raises(AssertionError):
        test_an_answer_inside_a_token()
    with pytest.raises(ValueError, match="unpack"):
        test_a_text_that_is_one_unknown_token()


class LosesWindows:
    """A tokenizer that loses overflow windows, as some releases of `tokenizers` do."""

    def __init__(self, tokenizer: Any, lost: int) -> None:
        self._tokenizer, self._lost = tokenizer, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        encoded = self._tokenizer(*texts, **options)
        if options.get("return_overflowing_tokens"):
            del encoded._encodings[self._lost]
            for column in encoded.data.values():
                del column[self._lost]
        return encoded


CONTEXT = "The weather was mild and the river was calm that day . " * 20 + "Zed Quill opened the inn in 1777 ."


@pytest.mark.parametrize("lost", [0, 1, -1])
@pytest.mark.parametrize("doc_stride", [0, 8])
def test_a_window_that_the_tokenizer_loses_is_an_error(lost: int, doc_stride: int) -> None:
    tokenizer = LosesWindows(tokenizer_of("WordPiece cased"), lost)
    with pytest.raises(EncoderError, match="lost a part of a context") as caught:
        windows_of([example_of(CONTEXT, "1777")], tokenizer, doc_stride=doc_stride)
    assert "id '1'" in str(caught.value) and "pip install --upgrade tokenizers" in str(caught.value)


def test_the_only_window_that_is_lost_is_an_error() -> None:
    with pytest.raises(EncoderError, match="lost a part of a context"):
        windows_of([example_of("Ada", "Ada")], LosesWindows(tokenizer_of("WordPiece cased"), 0))


def test_a_context_of_nothing_that_a_tokenizer_keeps() -> None:
    assert len(windows_of([Example("1", "q?", "\u200b\u200b", ())], tokenizer_of("WordPiece cased"))) == 1


def test_without_the_assertion_a_lost_window_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation: where the windows are joined unchecked, the tests above fail."""

    def joined(example: Any, cuts: Any, stride: int, *_: Any) -> Any:
        return window_cutting.np.concatenate([one[stride if number else 0 :] for number, one in enumerate(cuts)])

    monkeypatch.setattr(window_cutting, "_context_tokens", joined)
    with pytest.raises(pytest.fail.Exception):
        test_a_window_that_the_tokenizer_loses_is_an_error(-1, 8)


def test_the_summary_names_reasons_and_ids() -> None:
    found = unsayable(example_of("the old mill", "mil", id="a"), example_of("old mill x", "old mill", id="b"),
                      build="whole words", longest=1)  # fmt: skip
    assert found.summary() == (
        "2 of 2 answers cannot be said by the model: 1 begin or end inside a token, "
        "1 longer than the 1 tokens of --max-answer-length (first ids a, b)"
    )
    assert module.MOST_UNSAYABLE == 0.02
