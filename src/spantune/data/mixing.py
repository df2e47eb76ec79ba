"""Seeded choices on examples: weights, order, limits, and a split by context.

All randomness is `random.Random` seeded with a text, which gives the same numbers on every machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from spantune.data.checks.validation import free_id
from spantune.data.example import Example


def weighted(examples: Sequence[Example], weight: float, seed: str) -> tuple[Example, ...]:
    """Each example `floor(weight)` times, and a seeded choice of them once more for the fraction.

    Exactly `round(weight * len(examples))` examples (halves up, at least one). Repeats get the ids `id#2`, `id#3`, ….
    """
    wanted = max(1, math.floor(weight * len(examples) + 0.5))
    whole, rest = divmod(wanted, len(examples))
    chosen = set(random.Random(f"weight:{seed}").sample(range(len(examples)), rest))
    return distinct(
        example
        for turn in range(whole + 1)
        for position, example in enumerate(examples)
        if turn < whole or position in chosen
    )


def distinct(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The examples in order, a repeated id changed into `id#2`, `id#3`, …."""
    kept: dict[str, Example] = {}
    for example in examples:
        if example.id in kept:
            example = replace(example, id=free_id(example.id, kept))
        kept[example.id] = example
    return tuple(kept.values())


def shuffled(examples: Sequence[Example], seed: int) -> tuple[Example, ...]:
    """The examples in seeded order; a limit takes the first of them, so that a smaller limit is part of a larger."""
    order = list(range(len(examples)))
    random.Random(f"order:{seed}").shuffle(order)
    return tuple(examples[position] for position in order)


def limited(examples: Sequence[Example], limit: int | None, seed: int) -> tuple[Example, ...]:
    """A seeded choice of at most `limit` examples, in their order."""
    if limit is None or limit >= len(examples):
        return tuple(examples)
    kept = set(random.Random(f"limit:{seed}").sample(range(len(examples)), limit))
    return tuple(example for position, example in enumerate(examples) if position in kept)


def context_key(context: str) -> str:
    """Contexts that differ in white space alone (line ends, indents) are one context."""
    return " ".join(context.split())


def context_keys(examples: Iterable[Example]) -> dict[str, str]:
    """The key of every distinct context."""
    return {context: context_key(context) for context in {example.context for example in examples}}


def split_by_context(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split into (rest, selection), the selection with `fraction` of the contexts: no context is in both.

    Each side has a context if the fraction is above 0; a single context is not split, the selection is then empty.
    """
    keys = context_keys(examples)
    contexts = list(dict.fromkeys(keys[example.context] for example in examples))
    number = min(max(1, math.floor(fraction * len(contexts) + 0.5)), len(contexts) - 1) if fraction > 0 else 0
    selected = set(random.Random(f"selection:{seed}").sample(contexts, max(number, 0)))
    sides: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        sides[keys[example.context] in selected].append(example)
    return tuple(sides[0]), tuple(sides[1])
