"""Examples to windows: token ids, character offsets of the context, and labels for every accepted answer.

A context that does not fit into `max_length` tokens beside its question is cut into windows, of which neighbours share
`doc_stride` context tokens. Rules that are easy to get wrong, and how they are here:

- a window that holds a whole accepted answer is labelled with all answers it holds;
- a window that holds none of an answer is labelled "no answer" (its first token);
- a window that holds only a part of an answer gets no label and does not train (`CUT`), it is still searched;
- a question longer than its share of the window is cut at the end, and counted.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spantune.answering.arrow_arrays import Columns, arrow_columns, as_columns
from spantune.answering.cache import cache_folder, tokenizer_digest
from spantune.answering.offsets import include_combining_marks, white_space, without_white_space
from spantune.data import Corpus, Example
from spantune.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from transformers import PreTrainedTokenizerFast

    from spantune.config import WindowConfig

ANSWER, NO_ANSWER, CUT = 0, 1, 2
_LAYOUT = 4  # Counts changes of the columns below: an older cache is not read.
_SHORTEST_QUESTION = 8
_AT_ONCE = 100  # examples tokenised together: more take more memory and no less time


@dataclass(frozen=True)
class WindowRules:
    """Lengths in tokens that hold for one tokenizer.

    Attributes:
        max_length: of a window. doc_stride: context tokens that neighbours share.
        max_question: longest question that is kept whole.
        segment_ids: whether the encoder wants them.
    """

    max_length: int
    doc_stride: int
    max_question: int
    segment_ids: bool


def window_rules(
    config: WindowConfig, tokenizer: PreTrainedTokenizerFast, *, longest: int, segment_ids: bool
) -> WindowRules:
    """Check the lengths against the encoder (`longest` window in tokens, virtual tokens already taken off).

    Raises:
        ConfigError: windows longer than the encoder's positions, or no room for a question: in these positions, in the
            windows, or beside the stride.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    shortest = 2 * _SHORTEST_QUESTION + special
    if longest < shortest:
        raise ConfigError(
            "the encoder's positions leave no room for a question and its context",
            expected=f"at least {shortest} positions for each window",
            found=f"{longest} (its positions, less those of virtual tokens)",
            fix="fewer virtual tokens, or an encoder with more positions",
        )
    if config.max_length > longest:
        raise ConfigError(
            f"windows of {config.max_length} tokens do not fit into the encoder",
            expected=f"max-length of at most {longest} (its positions, less those of virtual tokens)",
            found=f"max-length {config.max_length}",
            fix=f"--max-length {longest}",
        )
    room = config.max_length - special
    max_question = min(room // 2, room - config.doc_stride - 1)
    if room < 2 * _SHORTEST_QUESTION:
        raise ConfigError(
            f"windows of {config.max_length} tokens hold no question and its context",
            expected=f"max-length of at least {shortest}",
            found=f"max-length {config.max_length}",
            fix=f"--max-length {min(384, longest)}",
        )
    if max_question < _SHORTEST_QUESTION:
        raise ConfigError(
            f"a stride of {config.doc_stride} leaves no room in windows of {config.max_length} tokens",
            expected=f"doc-stride of at most {room - 1 - _SHORTEST_QUESTION}: each window must hold the shared context "
            f"tokens, one new one and a question",
            found=f"doc-stride {config.doc_stride}",
            fix=f"--doc-stride {min(config.max_length // 3, room - 1 - _SHORTEST_QUESTION)}",
        )
    return WindowRules(config.max_length, config.doc_stride, max_question, segment_ids)


class Part(NamedTuple):
    """Neighbouring examples of a corpus with all their windows.

    `columns` are those of `Windows.dataset`; `first` is the position of the first example in the corpus.
    """

    first: int
    examples: Sequence[Example]
    columns: Columns

    @property
    def windows(self) -> int:
        """How many."""
        return len(self.columns["length"])


@dataclass(frozen=True)
class Windows:
    """The windows of a corpus, in the order of its examples.

    `dataset` columns, a row a window: example (position in the corpus), input_ids (L), token_type_ids (L, where
    wanted), context_first (first context token), offsets (characters [first, last + 1) of each context token, without
    white space around it), blank (context tokens of white space alone), starts and ends (tokens of each whole answer in
    it), kind (`ANSWER`, `NO_ANSWER`, `CUT`), question_cut, length (L).
    """

    dataset: Dataset
    corpus: Corpus
    rules: WindowRules

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window."""
        return numbers(self.dataset, "length")

    def parts(self, size: int) -> Iterator[Part]:
        """The windows in order, about `size` at a time; no example is in two parts.

        A part in the cache is mapped into memory for itself, so that it leaves memory when it is done with.
        """
        examples, owners = self.corpus.examples, self._owners
        begin = first = 0
        while begin < len(owners):
            end = int(np.searchsorted(owners, owners[min(begin + size, len(owners)) - 1], side="right"))
            last = int(owners[end]) if end < len(owners) else len(examples)
            yield Part(first, examples[first:last], arrow_columns(self._reader()[begin:end]))
            begin, first = end, last

    def _reader(self) -> Dataset:
        """The windows as Arrow tables."""
        from datasets import Dataset

        files = self.dataset.cache_files
        if len(files) != 1:
            return self._in_memory
        mapped = Dataset.from_file(files[0]["filename"])
        mapped.set_format("arrow")
        return mapped

    @cached_property
    def _owners(self) -> np.ndarray:
        return numbers(self.dataset, "example")

    @cached_property
    def _in_memory(self) -> Dataset:
        return self.dataset.with_format("arrow")

    def trainable(self) -> Dataset:
        """The windows with a label."""
        return self.dataset.select(np.flatnonzero(numbers(self.dataset, "kind") != CUT))

    def counts(self) -> dict[str, int]:
        """Examples, windows, windows that do not train, questions cut, answers that no window holds."""
        examples, kinds, cut = (numbers(self.dataset, name) for name in ("example", "kind", "question_cut"))
        return {
            "examples": len(self.corpus.examples),
            "windows": len(kinds),
            "windows_with_cut_answer": int(np.count_nonzero(kinds == CUT)),
            "questions_cut": len(np.unique(examples[cut])),
            "answers_in_no_window": len(self.unreachable()),
        }

    def unreachable(self) -> list[str]:
        """Ids of answerable examples of which no window holds a whole answer."""
        examples, kinds = (numbers(self.dataset, name) for name in ("example", "kind"))
        held = np.zeros(len(self.corpus.examples), dtype=bool)
        held[examples[kinds == ANSWER]] = True
        return [
            example.id
            for example, whole in zip(self.corpus.examples, held, strict=True)
            if example.answerable and not whole
        ]


@dataclass(frozen=True)
class StreamedWindows:
    """The windows of a corpus, made as they are asked for and not kept: for a corpus that is read once."""

    corpus: Corpus
    tokenizer: PreTrainedTokenizerFast
    rules: WindowRules

    def parts(self, size: int) -> Iterator[Part]:
        """As `Windows.parts`."""
        examples, begin = self.corpus.examples, 0
        kept: dict[str, list[Any]] = {}
        for end, rows in _pieces(examples, self.tokenizer, self.rules):
            for name, column in rows.items():
                kept.setdefault(name, []).extend(column)
            if end == len(examples) or len(kept["length"]) >= size:
                yield Part(begin, examples[begin:end], as_columns(kept))
                kept, begin = {}, end


def numbers(dataset: Dataset, column: str) -> np.ndarray:
    """A column of numbers (or truths) as an array, not as a list, which would take five times the memory."""
    table = dataset.with_format("arrow", columns=[column])[:]
    return np.asarray(table[column].to_numpy())


def make_windows(
    corpus: Corpus, tokenizer: PreTrainedTokenizerFast, rules: WindowRules, *, cache: bool = True
) -> Windows:
    """Tokenise a corpus once for each (data, tokenizer, lengths); afterwards it is read from `datasets`' cache."""
    from datasets import Dataset, concatenate_datasets

    if not cache:
        columns = _columns(rules)
        parts = [Dataset.from_dict(rows, columns) for _, rows in _pieces(corpus.examples, tokenizer, rules)]
        parts = parts or [Dataset.from_dict({name: [] for name in columns}, columns)]
        return Windows(parts[0] if len(parts) == 1 else concatenate_datasets(parts), corpus, rules)
    key = _fingerprint(corpus, tokenizer, rules)
    rows = Dataset.from_dict({"row": np.arange(len(corpus.examples))})
    made = rows.map(
        lambda batch: _tokenise([corpus.examples[row] for row in batch["row"]], batch["row"], tokenizer, rules),
        batched=True,
        batch_size=_AT_ONCE,
        remove_columns=["row"],
        features=_columns(rules),
        new_fingerprint=key,
        cache_file_name=str(cache_folder() / f"windows-{key}.arrow"),
        load_from_cache_file=True,
        desc=f"Windows of {corpus.name}",
    )
    return Windows(made, corpus, rules)


def _columns(rules: WindowRules) -> Features:
    from datasets import Features, List, Value

    columns = {
        "example": Value("int32"),
        "input_ids": List(Value("int32")),
        "context_first": Value("int32"),
        "offsets": List(Value("int32")),
        "blank": List(Value("int32")),
        "starts": List(Value("int32")),
        "ends": List(Value("int32")),
        "kind": Value("int8"),
        "question_cut": Value("bool"),
        "length": Value("int32"),
    }
    if rules.segment_ids:
        columns["token_type_ids"] = List(Value("int8"))
    return Features(columns)


def _pieces(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, rules: WindowRules
) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """The windows of a few examples at a time, and how many examples they and those before them belong to."""
    for begin in range(0, len(examples), _AT_ONCE):
        end = min(begin + _AT_ONCE, len(examples))
        yield end, _tokenise(examples[begin:end], range(begin, end), tokenizer, rules)


def _fingerprint(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, rules: WindowRules) -> str:
    rules_text = json.dumps(vars(rules), sort_keys=True)
    parts = [str(_LAYOUT), corpus.fingerprint, tokenizer_digest(tokenizer), rules_text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _tokenise(
    examples: Sequence[Example], rows: Sequence[int], tokenizer: PreTrainedTokenizerFast, rules: WindowRules
) -> dict[str, list[Any]]:
    """All windows of some examples, a column a key."""
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
    columns: dict[str, list[Any]] = {key: [] for key in ("context_first", "offsets", "blank", "starts", "ends", "kind")}
    origin = encoded["overflow_to_sample_mapping"]
    firsts, contexts = [], []
    for window in range(len(origin)):
        sequence = encoded.sequence_ids(window)
        firsts.append(sequence.index(1) if 1 in sequence else len(sequence))
        contexts.append(encoded["offset_mapping"][window][firsts[-1] : firsts[-1] + sequence.count(1)])
    edges: list[tuple[int, int]] = []
    spaces: list[np.ndarray] = []
    for position, windows in groupby(range(len(origin)), origin.__getitem__):
        of_example = [contexts[window] for window in windows]
        include_combining_marks(examples[position].context, of_example)
        spaces += [white_space(examples[position].context)] * len(of_example)
        edges += _edges(of_example, rules.doc_stride, len(examples[position].context))
    for position, first, offsets, edge, space in zip(origin, firsts, contexts, edges, spaces, strict=True):
        starts, ends, kind = _labels(examples[position], offsets, first, edge)
        bare = without_white_space(examples[position].context, offsets, space)
        columns["context_first"].append(first)
        columns["offsets"].append(bare.ravel())
        columns["blank"].append(first + np.flatnonzero(bare[:, 0] == bare[:, 1]))
        columns["starts"].append(starts)
        columns["ends"].append(ends)
        columns["kind"].append(kind)
    columns["example"] = [rows[position] for position in origin]
    columns["question_cut"] = [was_cut[position] for position in origin]
    columns["input_ids"] = encoded["input_ids"]
    columns["length"] = [len(ids) for ids in encoded["input_ids"]]
    if rules.segment_ids:
        columns["token_type_ids"] = encoded["token_type_ids"]
    return columns


def _edges(windows: Sequence[Sequence[tuple[int, int]]], stride: int, length: int) -> list[tuple[int, int]]:
    """For each window of a context: where the last token before it ends and the first token after it starts."""
    before = [0, *(offsets[-1 - stride][1] for offsets in windows[:-1])]
    after = [*(offsets[stride][0] for offsets in windows[1:]), length]
    return list(zip(before, after, strict=True))


def _fitting_questions(
    questions: Sequence[str], tokenizer: PreTrainedTokenizerFast, longest: int
) -> tuple[list[str], list[bool]]:
    """Questions without outer white space, cut to `longest` tokens where they have more, and which of them were cut."""
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


def _labels(
    example: Example, offsets: Sequence[tuple[int, int]], first: int, edge: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    """Token labels of the accepted answers that lie wholly in a window, and the window's kind.

    Args:
        offsets: characters of the window's context tokens. first: position of the first of them.
        edge: where the last token before the window ends and the first token after it starts.
    """
    firsts, lasts = [pair[0] for pair in offsets], [pair[1] for pair in offsets]
    # A character of several tokens may lie on both sides of an edge.
    reach = min([edge[0], *firsts[:1]]), max([edge[1], *lasts[-1:]])
    starts, ends, touched = [], [], False
    for answer in example.answers:
        begin = answer.start + len(answer.text) - len(answer.text.lstrip())
        finish = answer.start + len(answer.text.rstrip())
        if begin >= finish or finish <= reach[0] or begin >= reach[1]:
            continue
        touched = True
        start = bisect_right(lasts, begin)  # First token that ends after the answer's first character.
        end = bisect_left(firsts, finish) - 1  # Last token that starts before the answer's end.
        if edge[0] <= begin and finish <= edge[1] and start <= end:
            starts.append(first + start)
            ends.append(first + end)
    return starts, ends, ANSWER if starts else CUT if touched else NO_ANSWER
