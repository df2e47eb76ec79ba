"""`make bench`, or `python -m benchmarks.run [PART ...] [--long]`: measure, print the table, write it down.

Parts: train, evaluate, decoding, memory, growth, answer, and with --long quality. All of them take ten minutes at most
on two cores; --long takes hours. A bar that is missed is a line of the table, not a failure.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import answer, decoding, evaluate, growth, memory, ours, quality, train
from benchmarks.plan import LONG, SHORT, Plan
from benchmarks.results import Part, Report
from spantune.errors import UserError

PARTS: Mapping[str, Callable[[Plan], Part]] = {
    "train": train.measure,
    "evaluate": evaluate.measure,
    "decoding": decoding.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "answer": answer.measure,
    "quality": quality.measure,
}
ONLY_LONG = ("quality",)
FOLDER = Path("build/benchmarks")


def main(arguments: Sequence[str]) -> int:
    """Measure the parts that are named (default: all) and write the report after each; 2 for a user's mistake."""
    given = _parser().parse_args(arguments)
    if unknown := [name for name in given.parts if name not in PARTS]:
        print(f"there is no part {unknown[0]!r}: expected {', '.join(PARTS)}", file=sys.stderr)
        return 2
    plan = _plan(given)
    names = given.parts or [name for name in PARTS if given.long or name not in ONLY_LONG]
    ours.quiet()
    try:
        with warnings.catch_warnings(action="ignore"):
            report = measure(plan, names, Path(given.out))
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(report.to_markdown())
    return 0


def measure(plan: Plan, names: Sequence[str], folder: Path) -> Report:
    """The named parts in order. What is finished is on disk before the next one begins."""
    device, dtype = ours.device_and_dtype(ours.config_of(plan, "full"))
    precision = {"spantune": str(dtype).removeprefix("torch."), "usual recipe": "float32"}
    report = Report((), asdict(plan), precision)
    for name in names:
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        began = time.perf_counter()
        part = PARTS[name](plan)
        part = replace(part, seconds=time.perf_counter() - began)
        print(f"{part.seconds:.0f} s", file=sys.stderr)
        report = replace(report, parts=(*report.parts, part))
        paths = report.write(folder, device.type)
    print("written:", *paths, file=sys.stderr)
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.partition("\n")[0])
    named = f"{', '.join(PARTS)}; default: all"
    parser.add_argument("parts", nargs="*", metavar="PART", help=named)
    parser.add_argument("--long", action="store_true", help="more rounds, larger sizes, and the quality part")
    parser.add_argument("--model", default=SHORT.model, help="encoder, or bert-base-sized (random weights)")
    parser.add_argument("--data", default=SHORT.data, help="a source of `spantune train --data`")
    parser.add_argument("--device", default=SHORT.device, choices=("auto", "cpu", "cuda"))
    parser.add_argument("--batch-size", type=int, default=SHORT.batch_size, help="windows of a training batch")
    parser.add_argument("--methods", nargs="+", default=SHORT.methods, help="methods of the train part")
    parser.add_argument("--out", default=str(FOLDER), help="folder of DEVICE.json and DEVICE.md")
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    return replace(
        LONG if given.long else SHORT,
        model=given.model,
        data=given.data,
        device=given.device,
        batch_size=given.batch_size,
        methods=tuple(given.methods),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
