"""The windows of a corpus: made once, kept in a cache or made as they are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spantune.answering.arrow_arrays import Columns, arrow_columns, as_columns
from spantune.answering.cache import keep, kept, library_versions, making, not_cached, tokenizer_digest
from spantune.answering.labels import ANSWER, CUT
from spantune.answering.window_cutting import cut_windows
from spantune.answering.window_rules import WindowRules
from spantune.data import Corpus, Example
from spantune.errors import SpantuneError

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from transformers import PreTrainedTokenizerFast

_ARROW = ".arrow"
_LAYOUT = 5  # Counts changes of the columns below: an older cache is not read.
_AT_ONCE = 100  # examples tokenised together: more take more memory and no less time


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

    `dataset` columns, one row per window: example (position in the corpus), input_ids (L), token_type_ids (L, where
    wanted), context_first (first context token), offsets (characters [first, last + 1) of each context token, without
    white space around it), blank (context tokens of white space alone), starts and ends (tokens of each whole answer in
    it), answers (which of the example's these are), faults (of each `SAYABLE`, `ELSEWHERE` or `UNKNOWN`), kind
    (`ANSWER`, `NO_ANSWER`, `CUT`), question_cut, length (L).
    """

    dataset: Dataset
    corpus: Corpus
    rules: WindowRules

    def __len__(self) -> int:
        return len(self.dataset)

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers (or truths), as an array that shares Arrow's memory."""
        return np.asarray(self._table[column].to_numpy())

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window."""
        return self.numbers("length")

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
        try:
            mapped = Dataset.from_file(files[0]["filename"])
        except (OSError, ValueError):  # gone since: the mapped one is still whole
            return self._in_memory
        mapped.set_format("arrow")
        return mapped

    @cached_property
    def _owners(self) -> np.ndarray:
        return self.numbers("example")

    @cached_property
    def _table(self) -> Any:
        """All windows as an Arrow table; `with_format` copies the features, so that it is called once."""
        return self._in_memory[:]

    @cached_property
    def _in_memory(self) -> Dataset:
        return self.dataset.with_format("arrow")

    def trainable(self) -> Dataset:
        """The windows with a label."""
        return self.dataset.select(self.labelled())

    def labelled(self) -> np.ndarray:
        """The positions of the windows with a label."""
        return np.flatnonzero(self.numbers("kind") != CUT)

    def counts(self) -> dict[str, int]:
        """Examples, windows, windows that do not train, questions cut, answers that no window holds."""
        examples, kinds, cut = (self.numbers(name) for name in ("example", "kind", "question_cut"))
        return {
            "examples": len(self.corpus.examples),
            "windows": len(kinds),
            "windows_with_cut_answer": int(np.count_nonzero(kinds == CUT)),
            "questions_cut": len(np.unique(examples[cut])),
            "answers_in_no_window": len(self.unreachable()),
        }

    def unreachable(self) -> list[str]:
        """Ids of answerable examples of which no window holds a whole answer."""
        examples, kinds = (self.numbers(name) for name in ("example", "kind"))
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
    try:
        return Windows(_cached(corpus, tokenizer, rules), corpus, rules)
    except SpantuneError:
        raise
    except Exception as error:  # each library of the cache fails in its own way; what fails elsewhere fails again
        not_cached("windows", error)
        return make_windows(corpus, tokenizer, rules, cache=False)


def _cached(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, rules: WindowRules) -> Dataset:
    """The windows in the cache, made if they are not there or damaged."""
    from datasets import Dataset

    name = f"windows-{_fingerprint(corpus, tokenizer, rules)}"
    if (path := kept(name, _ARROW)) is not None:
        return Dataset.from_file(str(path))
    with making(_ARROW) as path:
        made = _mapped(corpus, tokenizer, rules, path)
        return Dataset.from_file(str(keep(path, name, _ARROW))) if path.exists() else made  # no file of no windows


def _mapped(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, rules: WindowRules, path: Path) -> Dataset:
    """The windows of a corpus, written to a file as they are made."""
    from datasets import Dataset

    rows = Dataset.from_dict({"row": np.arange(len(corpus.examples))})
    return rows.map(
        lambda batch: cut_windows([corpus.examples[row] for row in batch["row"]], batch["row"], tokenizer, rules),
        batched=True,
        batch_size=_AT_ONCE,
        remove_columns=["row"],
        features=_columns(rules),
        cache_file_name=str(path),
        load_from_cache_file=False,
        desc=f"Windows of {corpus.name}",
    )


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
        "answers": List(Value("int32")),
        "faults": List(Value("int8")),
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
        yield end, cut_windows(examples[begin:end], range(begin, end), tokenizer, rules)


def _fingerprint(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, rules: WindowRules) -> str:
    rules_text = json.dumps(vars(rules), sort_keys=True)
    parts = [str(_LAYOUT), *library_versions(), corpus.fingerprint, tokenizer_digest(tokenizer), rules_text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
