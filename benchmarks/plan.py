"""What is measured on what, and how much of it: once for ten minutes, once for as long as it takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from spantune.config import WindowConfig
from spantune.config.training import Device

BERT_BASE_SIZED = "bert-base-sized"


@dataclass(frozen=True)
class Plan:
    """Sizes of all parts."""

    model: str = "minilm"
    """Any encoder of `spantune train --model`, or `bert-base-sized`: random weights of BERT-base's shape."""
    data: str = "sample"
    """Any source of `spantune train --data`; repeated where it is short."""
    device: Device = "auto"
    """Where it runs; `auto` takes the GPU where there is one."""
    windows: WindowConfig = field(default_factory=WindowConfig)
    """Lengths in tokens, the same on both sides."""
    batch_size: int = 8
    """Windows of a training batch, the same on both sides."""

    methods: tuple[str, ...] = ("full", "lora", "ia3", "prefix-tuning")
    """Methods that are trained."""
    train_examples: int = 763
    """Questions to train on (the bundled sample has so many)."""
    train_rounds: int = 4
    """Pairs of training blocks of a method."""
    train_seconds: float = 36.0
    """No pair begins later than this after a method's first block."""
    train_block_seconds: float = 4.0
    """A block has as many optimiser steps as fit into it, at least one."""
    matmul_size: int = 2048
    """Rows and columns of the matrices whose product is the machine's measured peak (on a GPU 4 times as many)."""
    matmul_seconds: float = 0.5
    """How long a block multiplies."""

    evaluate_examples: int = 64
    """Questions of an evaluation block."""
    evaluate_rounds: int = 3
    """Pairs of evaluation blocks."""
    evaluate_seconds: float = 45.0
    """No pair begins later than this after the first block."""
    decode_examples: int = 1_700
    """Questions of a decoding block: about what evaluation has in memory at once."""
    decode_exact_examples: int = 20
    """Questions on which every span is tried in a loop."""
    decode_rounds: int = 5
    """Pairs of decoding blocks."""

    memory_factors: tuple[int, ...] = (1, 10, 100)
    """How often spantune's data is repeated."""
    memory_factors_usual: tuple[int, ...] = (1, 10)
    """How often the usual recipe's data is repeated."""
    memory_train_examples: int = 64
    """Questions at 1×, training."""
    memory_train_steps: int = 6
    """Optimiser steps after which such a training ends."""
    memory_eval_examples: int = 16
    """Questions at 1×, evaluation."""

    growth_sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Questions; what each costs is compared with the first size's. Multiples of the first."""
    growth_slow_sizes: tuple[int, ...] = (1_000, 10_000)
    """The same for the two slow stages, cutting into windows and decoding."""
    growth_batches: int = 100
    """Training batches that are read and padded at every size."""

    answer_methods: tuple[str, ...] = ("full", "lora", "loha", "ia3", "prefix-tuning", "prompt-encoder")
    """Methods that answer one question together; the second one also answers alone."""
    answer_questions: int = 20
    """Questions asked one by one."""
    answer_batch: int = 24
    """Questions asked together."""
    answer_seconds: float = 30.0
    """No question is asked later than this after the first, at one method and at all of them each."""

    quality_seeds: tuple[int, ...] = ()
    """Seeds of the runs with and without the fast path; none: that part is left out."""
    quality_epochs: float = 2.0
    """Passes of such a run over the training questions."""


SHORT = Plan()
LONG = replace(
    SHORT,
    train_rounds=15,
    train_seconds=300.0,
    train_block_seconds=10.0,
    evaluate_examples=255,
    evaluate_rounds=7,
    evaluate_seconds=600.0,
    decode_examples=5_000,
    memory_factors_usual=(1, 10, 100),
    memory_train_examples=255,
    memory_eval_examples=64,
    growth_slow_sizes=(1_000, 10_000, 100_000),
    answer_questions=200,
    answer_batch=255,
    answer_seconds=300.0,
    quality_seeds=(0, 1, 2),
)
