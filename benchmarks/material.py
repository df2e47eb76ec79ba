"""What is measured on: questions, repeated or thinned out to the number that a part needs, and an encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.plan import BERT_BASE_SIZED
from spantune.data import Corpus, Example, load_corpus


def examples_of(source: str, count: int, *, split: str = "train") -> tuple[Example, ...]:
    """`count` answerable questions of a source: evenly spread over it, or the whole of it several times."""
    found = _answerable(source, split)
    if count <= len(found):
        return tuple(found[row * len(found) // count] for row in range(count))
    return repeated(found, count)


def longest_of(source: str, count: int) -> tuple[Example, ...]:
    """The questions on the longest texts: any batch of them needs about as much."""
    found = sorted(_answerable(source, "train"), key=lambda one: len(one.context), reverse=True)
    return repeated(found, count)


def repeated(examples: Sequence[Example], count: int) -> tuple[Example, ...]:
    """The examples over and over until there are `count`, no two alike, as in real data.

    Each repetition has ids of its own and its number behind the context, where it moves no answer.
    """
    made = list(examples[:count])
    for row in range(len(made), count):
        turn, one = row // len(examples), examples[row % len(examples)]
        made.append(replace(one, id=f"{one.id}~{turn}", context=f"{one.context} {turn}"))
    return tuple(made)


def _answerable(source: str, split: str) -> list[Example]:
    return [one for one in load_corpus(source, split=split).examples if one.answerable]


def corpus_of(source: str, count: int, *, split: str = "train") -> Corpus:
    """The same as a corpus."""
    return Corpus.of(examples_of(source, count, split=split), f"{source}, {count} questions")


def write_squad(examples: Sequence[Example], path: Path) -> Path:
    """The examples as SQuAD JSON, a paragraph each."""
    paragraphs: list[dict[str, Any]] = []
    for one in examples:
        answers = [{"text": answer.text, "answer_start": answer.start} for answer in one.answers]
        asked = {"id": one.id, "question": one.question, "answers": answers}
        paragraphs.append({"context": one.context, "qas": [asked]})
    content = {"version": "1.1", "data": [{"title": "repeated", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def encoder(name: str, folder: Path) -> str:
    """The encoder's name; for `bert-base-sized` a folder, made here, with random weights and MiniLM's vocabulary."""
    if name != BERT_BASE_SIZED:
        return name
    import torch
    from transformers import BertConfig, BertModel

    from spantune.modeling import load_tokenizer

    made = folder / BERT_BASE_SIZED
    if not made.is_dir():
        torch.manual_seed(0)
        BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(made)
        load_tokenizer("minilm").save_pretrained(made)
    return str(made)
