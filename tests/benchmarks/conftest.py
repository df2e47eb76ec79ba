import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tiny.py
sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks

import pytest
from tiny import one_thread  # noqa: F401

from benchmarks.plan import Plan
from spantune.config import WindowConfig


@pytest.fixture(scope="session")
def plan(bert: str, train_file: str) -> Plan:
    """Every part in a second or two, on a tiny random encoder and a handful of questions."""
    return Plan(
        model=bert,
        data=train_file,
        device="cpu",
        windows=WindowConfig(max_length=48, doc_stride=12),
        batch_size=4,
        methods=("lora",),
        train_examples=12,
        train_rounds=2,
        train_block_seconds=0.02,
        matmul_size=32,
        matmul_seconds=0.001,
        evaluate_examples=6,
        evaluate_rounds=2,
        decode_examples=8,
        decode_exact_examples=3,
        decode_rounds=2,
        memory_factors=(1, 3),
        memory_factors_usual=(1,),
        memory_train_examples=4,
        memory_train_steps=2,
        memory_eval_examples=4,
        growth_sizes=(4, 8, 12),
        growth_slow_sizes=(4, 8),
        growth_batches=1,
        answer_methods=("full", "lora"),
        answer_questions=3,
        answer_batch=3,
    )
