"""Character offsets of tokens: marks taken in, white space left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from spantune.answering.batches import end_points
from spantune.answering.offsets import white_space, without_white_space
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import make_windows
from spantune.config import WindowConfig
from spantune.data import Corpus, Example

TEXT = st.text(st.sampled_from(" \t\n\u00a0\u2028\u3000\u200babc\U0001f3f0é"), min_size=1, max_size=12)


def test_white_space_is_what_python_calls_so() -> None:
    every = "".join(map(chr, range(0x110000))).encode("utf-8", "ignore").decode()
    assert white_space(every)[:-1].tolist() == [one.isspace() for one in every]
    assert white_space("").tolist() == [False]


@given(TEXT, st.data())
def test_spans_are_stripped_like_text(context: str, data: st.DataObject) -> None:
    edges = st.tuples(st.integers(0, len(context)), st.integers(0, len(context)))
    pairs = [(min(pair), max(pair)) for pair in data.draw(st.lists(edges, max_size=6))]
    bare = without_white_space(context, np.array(pairs, int).reshape(-1, 2), white_space(context))
    assert bare.shape == (len(pairs), 2)
    for (start, end), (first, behind) in zip(pairs, bare.tolist(), strict=True):
        assert context[first:behind] == context[start:end].strip()
        assert start <= first <= behind <= end


def test_no_answer_ends_in_a_token_of_white_space() -> None:
    """A tokenizer that puts a space into the word behind it, as byte-level ones do, on a context with two in a row."""
    words = ["<s>", "Ada", " mill", " ", " 1902", " in", "in"]
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<s>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\w+|\s"), behavior="isolated")
    backend.post_processor = processors.TemplateProcessing(pair="<s> $A <s> $B:1", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<s>", model_max_length=64)
    context = "Ada mill  1902 in"
    rules = window_rules(WindowConfig(48, 8), tokenizer, longest=64, segment_ids=False)
    rows = make_windows(Corpus.of([Example("0", "in", context)], "x"), tokenizer, rules, cache=False).dataset[:]
    tokens = tokenizer.convert_ids_to_tokens(rows["input_ids"][0])
    pairs = np.array(rows["offsets"][0]).reshape(-1, 2).tolist()
    first = rows["context_first"][0]
    assert rows["blank"][0], tokens
    for place, (start, end) in enumerate(pairs, start=first):
        assert (place in rows["blank"][0]) == (start == end) == (not end_points(rows, len(tokens))[0, place])
        assert context[start:end] == context[start:end].strip()
    assert [context[start:end] for start, end in pairs] == ["Ada", "mill", "", "1902", "in"]
