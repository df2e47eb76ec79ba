"""Windows: offsets, coverage and labels against a brute-force reading of the same tokens."""

from __future__ import annotations

import dataclasses
import time
import unicodedata
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spantune.answering.labels import ANSWER, CUT, NO_ANSWER
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import WindowConfig
from spantune.data import Answer, Corpus, Example
from spantune.errors import ConfigError, EncoderError
from spantune.modeling import load_tokenizer

PIECES = (
    *("Ada", "mill", "the", "built", "river", " ", " ", "  ", "\r\n", "\n\n", "\t", ".", ",", "(", "--", "1841", "x"),
    *(
        "é",
        "e\u0301",
        "n\u0303o",
        "👩‍👩‍👧",
        "🙂",
        "שָׁלוֹם",
        "مَرْحَبًا",
        "हिन्दी",
        "中文",
        "ﬁ",
        "Ⅷ",
        "\u200b",
        "\u00ad",
        "\ufeff",
        "İ",
        "ß",
    ),
)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def tokenizers(tiny_tokenizer: Any, byte_level_tokenizer: Any) -> dict[str, Any]:
    return {"WordPiece": tiny_tokenizer, "byte-level": byte_level_tokenizer}


@st.composite
def examples(draw: st.DrawFn, *, max_pieces: int = 40) -> Example:
    """Any text, and up to three slices of it as answers."""
    piece = st.one_of(st.sampled_from(PIECES), st.text(max_size=4))
    context = "".join(draw(st.lists(piece, min_size=1, max_size=max_pieces))) or "x"
    answers = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, max(len(context) - 1, 0)))
        text = context[start : start + draw(st.integers(1, 12))]
        if text.strip():
            answers.append(Answer(text, start))
    question = "".join(draw(st.lists(piece, min_size=1, max_size=8)))
    return Example("id", question, context, tuple(answers))


def windows_of(example: Example, tokenizer: Any, *, max_length: int = 24, doc_stride: int = 4) -> Windows:
    config = WindowConfig(max_length=max_length, doc_stride=doc_stride)
    rules = window_rules(config, tokenizer, longest=512, segment_ids=True)
    return make_windows(Corpus.of([example], "one"), tokenizer, rules, cache=False)


def pairs(row: dict[str, Any]) -> list[tuple[int, int]]:
    return list(zip(row["offsets"][::2], row["offsets"][1::2], strict=True))


def all_tokens(windows: Windows) -> list[tuple[int, int]]:
    """The offsets of the whole context, each token once."""
    found: list[tuple[int, int]] = []
    for number, row in enumerate(windows.dataset):
        found += pairs(row)[windows.rules.doc_stride if number else 0 :]
    return found


def overlapping(tokens: list[tuple[int, int]], answer: Answer) -> list[int]:
    """Tokens that hold a character of the answer, its outer white space aside."""
    begin = answer.start + len(answer.text) - len(answer.text.lstrip())
    finish = answer.start + len(answer.text.rstrip())
    return [place for place, (start, end) in enumerate(tokens) if max(start, begin) < min(end, finish)]


def begins_and_ends_on_a_token(tokens: list[tuple[int, int]], answer: Answer) -> bool:
    """False where the tokenizer drops the answer's first or last character (a zero-width space, say)."""
    stripped = answer.text.strip()
    begin = answer.start + answer.text.index(stripped)
    outer = (begin, begin + len(stripped) - 1)
    return all(any(start <= one < end for start, end in tokens) for one in outer)


KINDS = pytest.mark.parametrize("kind", ["WordPiece", "byte-level"])


@KINDS
@given(example=examples(), max_length=st.integers(20, 40), doc_stride=st.integers(0, 7))
@QUICK
def test_windows_cover_the_context_and_share_the_stride(
    tokenizers: dict[str, Any], kind: str, example: Example, max_length: int, doc_stride: int
) -> None:
    tokenizer = tokenizers[kind]
    windows = windows_of(example, tokenizer, max_length=max_length, doc_stride=doc_stride)
    rows = list(windows.dataset)
    alone = tokenizer(example.context, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = []
    for number, row in enumerate(rows):
        inside = slice(row["context_first"], row["context_first"] + len(pairs(row)))
        assert row["length"] == len(row["input_ids"]) == len(row["token_type_ids"]) <= max_length
        if pairs(row) and kind == "WordPiece":  # RoBERTa's manner has one segment.
            assert row["token_type_ids"].index(1) == inside.start and set(row["token_type_ids"][inside]) == {1}
        if number:
            assert row["input_ids"][inside][:doc_stride] == ids[len(ids) - doc_stride :]
        ids += row["input_ids"][inside][doc_stride if number else 0 :]
        assert all(window["length"] == max_length for window in rows[:number])
    assert ids == alone["input_ids"]
    # The characters are those of the tokens without white space around them; a token may also take in the marks that
    # were stripped off it.
    for (start, end), (first, last) in zip(all_tokens(windows), alone["offset_mapping"], strict=True):
        marks = takewhile(lambda one: unicodedata.category(one)[0] == "M", example.context[last:])
        wide = [example.context[first : last + count] for count in range(sum(1 for _ in marks) + 1)]
        assert first <= start <= end and example.context[start:end] in {one.strip() for one in wide}
    for row in rows:
        empty = [place for place, (start, end) in enumerate(pairs(row), row["context_first"]) if start == end]
        assert row["blank"] == empty


@KINDS
@given(example=examples(), max_length=st.integers(20, 40), doc_stride=st.integers(0, 7))
@QUICK
def test_labels_are_the_tightest_tokens_around_whole_answers(
    tokenizers: dict[str, Any], kind: str, example: Example, max_length: int, doc_stride: int
) -> None:
    windows = windows_of(example, tokenizers[kind], max_length=max_length, doc_stride=doc_stride)
    everything = all_tokens(windows)
    held = False
    for row in windows.dataset:
        tokens, labels, partly = pairs(row), [], False
        for answer in example.answers:
            here = overlapping(tokens, answer)
            if here and len(here) == len(overlapping(everything, answer)):
                labels.append((row["context_first"] + here[0], row["context_first"] + here[-1]))
            partly = partly or bool(here)
        assert list(zip(row["starts"], row["ends"], strict=True)) == labels
        held = held or bool(labels)
        if labels:
            assert row["kind"] == ANSWER
        elif partly:
            assert row["kind"] == CUT
        elif all(begins_and_ends_on_a_token(everything, answer) for answer in example.answers):
            assert row["kind"] == NO_ANSWER
    assert windows.unreachable() == (["id"] if example.answers and not held else [])


@KINDS
@given(example=examples())
@QUICK
def test_a_label_decodes_to_text_that_holds_the_answer(tokenizers: dict[str, Any], kind: str, example: Example) -> None:
    windows = windows_of(example, tokenizers[kind], max_length=400, doc_stride=4)
    (row,) = windows.dataset
    tokens = pairs(row)
    read = {character for start, end in tokens for character in range(start, end)}
    seen = [answer for answer in example.answers if overlapping(tokens, answer)]
    assert len(row["starts"]) == len(seen)
    for start, end, answer in zip(row["starts"], row["ends"], seen, strict=True):
        span = range(tokens[start - row["context_first"]][0], tokens[end - row["context_first"]][1])
        stripped = answer.text.strip()
        begin = answer.start + answer.text.index(stripped)
        # Characters that the tokenizer does not read (a zero-width space) may stand at the answer's outer ends.
        assert {one for one in range(begin, begin + len(stripped)) if one in read} <= set(span)


def test_a_mark_that_the_normaliser_strips_stays_in_the_answer(tiny_tokenizer: Any) -> None:
    context = "She met Rene\u0301 e\u0301."
    for text in ("Rene\u0301", "e\u0301"):
        answer = Answer(text, context.index(text))
        (row,) = windows_of(Example("id", "who?", context, (answer,)), tiny_tokenizer).dataset
        tokens = pairs(row)
        span = tokens[row["starts"][0] - row["context_first"]][0], tokens[row["ends"][0] - row["context_first"]][1]
        assert context[slice(*span)] == text


def test_segment_ids_only_where_the_encoder_wants_them(tiny_corpus: Corpus, tiny_tokenizer: Any) -> None:
    rules = window_rules(WindowConfig(32, 8), tiny_tokenizer, longest=64, segment_ids=False)
    windows = make_windows(tiny_corpus, tiny_tokenizer, rules, cache=False)
    assert "token_type_ids" not in windows.dataset.column_names
    assert windows.dataset[0]["input_ids"] == tiny_tokenizer(*text_of(tiny_corpus.examples[0]))["input_ids"]


def text_of(example: Example) -> tuple[str, str]:
    return example.question, example.context


# Twelve letters of which each is a token; windows hold twenty tokens, of which nine are context beside this question.
LETTERS = "a b c d e f g h i j k l m n o p q r s t"
QUESTION = "w w w w w w w w"


def lettered(*answers: str, question: str = QUESTION) -> Example:
    return Example("id", question, LETTERS, tuple(Answer(text, LETTERS.index(text)) for text in answers))


def test_an_answer_that_is_cut_gets_no_label(tiny_tokenizer: Any) -> None:
    """Windows of a..i, h..p, o..t: `g h i j` is cut in the first two and reaches no window."""
    windows = windows_of(lettered("g h i j"), tiny_tokenizer, max_length=20, doc_stride=2)
    assert [
        windows.corpus.examples[0].context[slice(row["offsets"][0], row["offsets"][-1])] for row in windows.dataset
    ] == [
        "a b c d e f g h i",
        "h i j k l m n o p",
        "o p q r s t",
    ]
    assert windows.dataset["kind"][:] == [CUT, CUT, NO_ANSWER]
    assert len(windows.trainable()) == 1
    assert windows.counts() == {
        "examples": 1,
        "windows": 3,
        "windows_with_cut_answer": 2,
        "questions_cut": 0,
        "answers_in_no_window": 1,
    }


def test_a_shared_answer_is_labelled_in_both_windows(tiny_tokenizer: Any) -> None:
    windows = windows_of(lettered("h i"), tiny_tokenizer, max_length=20, doc_stride=2)
    assert windows.dataset["kind"][:] == [ANSWER, ANSWER, NO_ANSWER]
    assert windows.dataset["starts"][:] == [[17], [10], []] and windows.dataset["ends"][:] == [[18], [11], []]
    assert windows.unreachable() == []


def test_several_answers_and_one_of_them_cut(tiny_tokenizer: Any) -> None:
    windows = windows_of(lettered("c d", "h i j", "q"), tiny_tokenizer, max_length=20, doc_stride=2)
    assert windows.dataset["kind"][:] == [ANSWER, ANSWER, ANSWER]
    assert windows.dataset["starts"][:] == [[12], [10], [12]] and windows.dataset["ends"][:] == [[13], [12], [12]]


def test_no_answer_is_labelled_in_every_window(tiny_tokenizer: Any) -> None:
    windows = windows_of(lettered(), tiny_tokenizer, max_length=20, doc_stride=2)
    assert windows.dataset["kind"][:] == [NO_ANSWER] * 3 and windows.unreachable() == []


def test_white_space_around_answers_and_questions_is_no_part_of_them(tiny_tokenizer: Any) -> None:
    loose = Example("id", f" \n{QUESTION}\t", LETTERS, (Answer(" c d ", 3),))
    rows = [
        list(windows_of(one, tiny_tokenizer, max_length=20, doc_stride=2).dataset) for one in (loose, lettered("c d"))
    ]
    assert rows[0] == rows[1]


def test_a_question_that_is_too_long_is_cut_at_its_end_and_counted(tiny_tokenizer: Any) -> None:
    long = " ".join("abcdefghijklmnop")
    windows = windows_of(lettered("t", question=long), tiny_tokenizer, max_length=24, doc_stride=2)
    assert windows.rules.max_question == 10
    for row in windows.dataset:
        assert tiny_tokenizer.decode(row["input_ids"][1 : row["context_first"] - 1]) == "a b c d e f g h i j"
        assert row["question_cut"]
    assert windows.counts()["questions_cut"] == 1 < len(windows)


@KINDS
@given(question=st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=9)), max_size=30).map("".join))
@QUICK
def test_any_question_leaves_room_for_the_context(tokenizers: dict[str, Any], kind: str, question: str) -> None:
    """A character of several tokens (an emoji) at the cut must not bring back the tokens that were cut."""
    tokenizer = tokenizers[kind]
    windows = windows_of(lettered("t", question=question), tokenizer, max_length=22, doc_stride=3)
    whole = len(tokenizer(question.strip(), add_special_tokens=False)["input_ids"])
    before = 1 if kind == "WordPiece" else 2
    for row in windows.dataset:
        asked = row["context_first"] - 1 - before
        assert asked == whole or (row["question_cut"] and asked <= windows.rules.max_question < whole)
    assert windows.unreachable() == []


@pytest.mark.parametrize(
    ("max_length", "doc_stride", "longest", "named"),
    [
        (64, 8, 44, "max-length of at most 44"),
        (16, 0, 512, "max-length of at least 19"),
        (32, 21, 512, "doc-stride of at most 20"),
        (32, 31, 512, "doc-stride of at most 20"),
        (20, 12, 512, "doc-stride of at most 8"),
    ],
)
def test_illegal_lengths(tiny_tokenizer: Any, max_length: int, doc_stride: int, longest: int, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as raised:
        window_rules(WindowConfig(max_length, doc_stride), tiny_tokenizer, longest=longest, segment_ids=True)
    # What the message proposes is legal.
    assert raised.value.fix is not None
    flag, value = raised.value.fix.split()
    mended = {"max_length": max_length, "doc_stride": doc_stride, flag[2:].replace("-", "_"): int(value)}
    window_rules(WindowConfig(**mended), tiny_tokenizer, longest=longest, segment_ids=True)


@pytest.mark.parametrize(("max_length", "doc_stride"), [(15, 0), (32, 32), (32, -1)])
def test_lengths_that_no_tokenizer_allows(max_length: int, doc_stride: int) -> None:
    with pytest.raises(ConfigError):
        WindowConfig(max_length, doc_stride)


def test_a_context_of_100_000_characters(tiny_tokenizer: Any) -> None:
    text = "the old mill near the river é. " * 3300
    example = Example("id", "Who built it?", text, (Answer("river", text.rindex("river")),))
    began = time.process_time()
    windows = windows_of(example, tiny_tokenizer, max_length=384, doc_stride=128)
    assert time.process_time() - began < 1
    assert windows.unreachable() == [] and len(windows) > 80


def test_a_slow_tokenizer_is_refused(tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer, T5Config

    T5Config().save_pretrained(tmp_path)
    ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="no character offsets"):
        load_tokenizer(str(tmp_path))


def test_windows_stand_in_the_order_of_the_examples(tiny_tokenizer: Any) -> None:
    many = [dataclasses.replace(lettered(), id=str(number)) for number in range(5)]
    rules = window_rules(WindowConfig(20, 2), tiny_tokenizer, longest=64, segment_ids=True)
    windows = make_windows(Corpus.of(many, "many"), tiny_tokenizer, rules, cache=False)
    assert [(row, len(list(of))) for row, of in groupby(windows.dataset["example"][:])] == [(n, 3) for n in range(5)]
