"""What `spantune train` prints of a finished run beside its scores."""

from dataclasses import replace

from spantune.cli.train import summary
from spantune.runs import AnswerSpeed, DataRecord, RunRecord

RECORD = RunRecord(
    "finished", "lora", "LoRA", "minilm", 0,
    config={"output": "runs/lora-0"},
    data={"reported": DataRecord(("dev.json",), "0", 150)},
    metrics={
        "reported": {"em": 38.7, "f1": 52.04},
        "wiki": {"em": 30.0, "f1": 47.0, "f1_drop": 5.04, "f1_drop_low": -0.3, "f1_drop_high": 9.96},
        "selection": {"em": 40.0, "f1": 50.0},
    },
    answering={"unmerged": AnswerSpeed(31.26, 80.4, 44.04, 20, 3), "merged": AnswerSpeed(25.0, 60.0, 1234.0, 20, 3)},
)  # fmt: skip


def test_speed_and_further_sets():
    assert summary(RECORD).splitlines() == [
        "LoRA on minilm: EM 38.70, F1 52.04 (reported set, 150 questions)",
        "answering, unmerged: 31.3 ms a question (95% within 80.4 ms), 44.0 questions/s in batches",
        "answering, merged: 25.0 ms a question (95% within 60.0 ms), 1,234.0 questions/s in batches",
        "wiki: EM 30.00, F1 47.00, 5.0 points of F1 below the reported set (95% -0.3 to 10.0)",
        "run folder: runs/lora-0",
    ]


def test_nothing_of_what_was_not_measured():
    bare = replace(
        RECORD, answering={}, metrics={"reported": {"em": 38.7, "f1": 52.04}, "wiki": {"em": 3.0, "f1": 4.0}}
    )
    assert summary(bare).splitlines()[1:] == ["wiki: EM 3.00, F1 4.00", "run folder: runs/lora-0"]
