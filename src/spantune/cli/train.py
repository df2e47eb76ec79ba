"""`spantune train`: one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spantune.config import TrainConfig, rule_name
from spantune.config.parse.command import Command

if TYPE_CHECKING:
    from spantune.runs import RunRecord


def run(config: TrainConfig) -> None:
    """Train, and print a summary."""
    from spantune.training import train

    record = train(config)
    if record.status == "finished":  # of several processes, only the first finishes the run
        print(summary(record))


def summary(record: RunRecord) -> str:
    """The most important numbers; the rest is in the run folder."""
    lines = [f"{record.label} on {record.model}: {_scores(record)}"]
    if record.parameters is not None:
        lines.append(f"trainable parameters: {record.parameters.trainable:,} ({record.parameters.share:.2%})")
    if record.adapter_bytes is not None:
        lines.append(f"saved weights: {record.adapter_bytes / 2**20:.2f} MiB")
    if record.timings.train_seconds is not None and record.timings.examples_per_second is not None:
        speed = f"{record.timings.examples_per_second:.1f} examples/s"
        lines.append(f"training: {record.timings.train_seconds:.0f} s, {speed}")
    for form, answers in record.answering.items():
        times = f"{answers.latency_p50_ms:,.1f} ms a question (95% within {answers.latency_p95_ms:,.1f} ms)"
        lines.append(f"answering, {form}: {times}, {answers.questions_per_second:,.1f} questions/s in batches")
    for name in record.further:
        scored = record.metrics[name]
        lines.append(f"{name}: EM {scored['em']:.2f}, F1 {scored['f1']:.2f}{_drop(scored)}")
    return "\n".join([*lines, *record.notes, f"run folder: {record.config.get('output', '')}"])


def _scores(record: RunRecord) -> str:
    em, f1, scored_on = record.metric("em"), record.metric("f1"), record.scored_on
    if em is None or f1 is None or scored_on is None:
        return "not scored"
    questions = f", {record.data[scored_on].examples} questions" if scored_on in record.data else ""
    rule = f", {rule_name(record.language)}" if record.language else ""
    return f"EM {em:.2f}, F1 {f1:.2f} ({scored_on} set{questions}{rule})"


def _drop(scored: Mapping[str, float | None]) -> str:
    """The drop in F1 from the reported set."""
    points, low, high = (scored.get(f"f1_drop{end}") for end in ("", "_low", "_high"))
    if points is None or low is None or high is None:
        return ""
    return f", {points:.1f} points of F1 below the reported set (95% {low:.1f} to {high:.1f})"


COMMAND = Command(
    name="train",
    config=TrainConfig,
    run=run,
    resume=("--resume",),
    examples="""
# LoRA on the embedded sample: minutes on two cores
spantune train
# another method with its own options
spantune train --method prefix-tuning --prefix-tuning.length 30 --epochs 5
# your own data twice, together with half of SQuAD
spantune train --data "mine.json*2" "squad*0.5" --model bert-base-uncased --output runs/mine
# settings from a file, with one changed
spantune train --print-config > lora.yaml
spantune train --config lora.yaml --lora.rank 32
# continue after Ctrl-C or a crash
spantune train --config lora.yaml --resume
""",
)
