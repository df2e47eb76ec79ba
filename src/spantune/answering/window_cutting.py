"""Examples to windows: token ids, character offsets of the context, and labels for every accepted answer.

A context that does not fit into `max_length` tokens beside its question is cut into windows, of which neighbours share
`doc_stride` context tokens. Rules that are easy to get wrong, and how they are here:

- a window that holds a whole accepted answer is labelled with all answers it holds;
- a window that holds none of an answer is labelled "no answer" (its first token);
- a window that holds only a part of an answer gets no label and does not train (`CUT`), it is still searched;
- a question longer than its share of the window is cut at the end, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from spantune.answering.labels import ELSEWHERE, SAYABLE, UNKNOWN, AnswerTokens, answer_tokens, labels_of
from spantune.answering.offsets import close_holes, holes, white_space, without_white_space
from spantune.answering.window_rules import WindowRules
from spantune.data import Example
from spantune.errors import EncoderError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_OF_CONTEXT = ("context_first", "offsets", "blank", "starts", "ends", "answers", "faults", "kind")
_NO_TOKENS = np.zeros((0, 2), dtype=np.int32)


def cut_windows(
    examples: Sequence[Example], rows: Sequence[int], tokenizer: PreTrainedTokenizerFast, rules: WindowRules
) -> dict[str, list[Any]]:
    """All windows of some examples, one column per key."""
    questions, was_cut = _fitting_questions([example.question for example in examples], tokenizer, rules.max_question)
    encoded = tokenizer(
        questions,
        [example.context for example in examples],
        truncation="only_second",
        max_length=rules.max_length,
        stride=rules.doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=rules.segment_ids,
        return_attention_mask=False,
    )
    columns: dict[str, list[Any]] = {key: [] for key in _OF_CONTEXT}
    origin = encoded["overflow_to_sample_mapping"]
    firsts, cuts = [], []
    for window in range(len(origin)):
        sequence = encoded.sequence_ids(window)
        firsts.append(sequence.index(1) if 1 in sequence else len(sequence))
        pairs = encoded["offset_mapping"][window][firsts[-1] : firsts[-1] + sequence.count(1)]
        cuts.append(np.fromiter(chain.from_iterable(pairs), np.int32, 2 * len(pairs)).reshape(-1, 2))
    every: dict[int, list[int]] = {position: [] for position in range(len(examples))}
    for window, position in enumerate(origin):
        every[position].append(window)
    for position, windows in every.items():
        example, spaces = examples[position], white_space(examples[position].context)
        tokens = _context_tokens(example, [cuts[window] for window in windows], rules.doc_stride, spaces, tokenizer)
        closed = close_holes(example.context, tokens, spaces)
        bare = without_white_space(example.context, closed, spaces)
        answers = answer_tokens(example, closed, bare)
        begins = np.cumsum([0, *(len(cuts[window]) - rules.doc_stride for window in windows[:-1])])
        for window, begin in zip(windows, begins.tolist(), strict=True):
            here = slice(begin, begin + len(cuts[window]))
            labelled, kind = labels_of(answers, closed, len(example.context), here)
            shift, ids = firsts[window] - begin, encoded["input_ids"][window]
            columns["context_first"].append(firsts[window])
            columns["offsets"].append(bare[here].ravel())
            columns["blank"].append(firsts[window] + np.flatnonzero(bare[here, 0] == bare[here, 1]))
            columns["starts"].append([shift + answer.start for answer in labelled])
            columns["ends"].append([shift + answer.end for answer in labelled])
            columns["answers"].append([answer.answer for answer in labelled])
            columns["faults"].append([_fault(answer, ids, shift, tokenizer.unk_token_id) for answer in labelled])
            columns["kind"].append(kind)
    columns["example"] = [rows[position] for position in origin]
    columns["question_cut"] = [was_cut[position] for position in origin]
    columns["input_ids"] = encoded["input_ids"]
    columns["length"] = [len(ids) for ids in encoded["input_ids"]]
    if rules.segment_ids:
        columns["token_type_ids"] = encoded["token_type_ids"]
    return columns


def _fault(answer: AnswerTokens, ids: Sequence[int], shift: int, unknown: int | None) -> int:
    if answer.sayable:
        return SAYABLE
    return UNKNOWN if unknown in (ids[shift + answer.start], ids[shift + answer.end]) else ELSEWHERE


def _context_tokens(
    example: Example, cuts: Sequence[np.ndarray], stride: int, spaces: np.ndarray, tokenizer: PreTrainedTokenizerFast
) -> np.ndarray:
    """(N, 2) the characters of all tokens of a context, each once, from its windows.

    Raises:
        EncoderError: a token is in no window, or neighbours share other tokens than they should. Some releases of
            `tokenizers` lose windows: https://github.com/huggingface/tokenizers/issues/2091.
    """
    # The characters of a window's first token may depend on the window (RoBERTa's prefix blank).
    shared = [cut[len(cut) - stride :][1:] for cut in cuts[:-1]]
    agree = all(np.array_equal(end, cut[:stride][1:]) for end, cut in zip(shared, cuts[1:], strict=True))
    tokens = np.concatenate([cut[stride if number else 0 :] for number, cut in enumerate(cuts)] or [_NO_TOKENS])
    complete = bool(cuts) and agree
    if complete and holes(tokens, spaces):  # a normaliser may drop characters
        complete = len(tokens) == len(tokenizer(example.context, add_special_tokens=False)["input_ids"])
    if complete:
        return tokens
    import tokenizers

    raise EncoderError(
        "the tokenizer lost a part of a context",
        where=f"id {example.id!r}",
        expected=f"every token of its {len(example.context):,} characters in a window",
        found=f"{len(cuts)} windows from tokenizers {tokenizers.__version__}",
        fix="pip install --upgrade tokenizers (0.23.1 and 0.23.2 lose windows)",
    )


def _fitting_questions(
    questions: Sequence[str], tokenizer: PreTrainedTokenizerFast, longest: int
) -> tuple[list[str], list[bool]]:
    """Questions without outer white space, cut to `longest` tokens if they have more, and which of them were cut."""
    kept = [question.strip() for question in questions]
    was_cut = [False] * len(kept)
    rows: Sequence[int] = range(len(kept))
    while rows:
        encoded = tokenizer([kept[row] for row in rows], add_special_tokens=False, return_offsets_mapping=True)
        too_long = []
        for row, pairs in zip(rows, encoded["offset_mapping"], strict=True):
            if len(pairs) > longest:
                # Before the first token too many: it may hold only a part of its character (an emoji of four bytes).
                kept[row] = kept[row][: min(pairs[longest][0], len(kept[row]) - 1)]
                was_cut[row] = True
                too_long.append(row)
        rows = too_long  # A shorter text may be read as other tokens, so the cut ones are looked at again.
    return kept, was_cut
