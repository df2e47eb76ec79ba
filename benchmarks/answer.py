"""Answering: one question to one and to several methods, and many questions together.

Against a web application as one writes it: a model in memory for each method, the adapter beside its weights, one model
after another, windows padded to `max_length`, fp32, Python loops. The weights are untrained; they cost the same time.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import ours, usual_recipe
from benchmarks.material import encoder, examples_of
from benchmarks.measure import Round, Work, alternate, compare, percentile, rates, timed
from benchmarks.plan import Plan
from benchmarks.results import Figure, Part
from spantune.data import Example
from spantune.modeling import load_tokenizer

BAR = 3.0
OURS, USUAL = "spantune", "one model after another"


def measure(plan: Plan) -> Part:
    """Latency at one method and at all of the plan, and questions a second in batches."""
    with tempfile.TemporaryDirectory() as scratch:
        plan = replace(plan, model=encoder(plan.model, Path(scratch)))
        runs = [ours.save_run(plan, method, Path(scratch) / method) for method in plan.answer_methods]
        figures, details = [], {}
        every = plan.answer_methods
        for methods, bar in ((every[1:2], None), (every, BAR)):
            rounds = _one_by_one(plan, [runs[every.index(name)] for name in methods], methods)
            what = f"{_counted(methods)} answering one question"
            figures.append(Figure.ratio(what, compare(rounds, OURS, USUAL), bar=bar, note=_latencies(rounds)))
            details[what] = {name: [one[name].seconds for one in rounds] for name in (OURS, USUAL)}
        rounds = _together(plan, runs, every)
        what = f"{_counted(every)} answering {plan.answer_batch} questions"
        note = " against ".join(f"{rate:.3g}" for rate in rates(rounds).values()) + " questions/s to all of them"
        figures.append(Figure.ratio(what, compare(rounds, OURS, USUAL), note=note))
        details[what] = {name: [one[name].seconds for one in rounds] for name in (OURS, USUAL)}
    return Part("answer", tuple(figures), details=details)


def _one_by_one(plan: Plan, runs: Sequence[Path], methods: Sequence[str]) -> list[dict[str, Work]]:
    """A round a question, the same for both."""
    one, _ = ours.answering(plan, runs)
    usual = usual_way(plan, methods)
    examples = examples_of(plan.data, plan.answer_questions + 1, split="validation")
    asked = {OURS: one, USUAL: usual}
    ways = {name: _asking(way, itertools.cycle(examples)) for name, way in asked.items()}
    return alternate(ways, rounds=plan.answer_questions, seconds=plan.answer_seconds)


def _together(plan: Plan, runs: Sequence[Path], methods: Sequence[str]) -> list[dict[str, Work]]:
    """The batch to spantune, and as much of it as one question in turn to the other."""
    _, many = ours.answering(plan, runs)
    usual = usual_way(plan, methods)
    examples = examples_of(plan.data, plan.answer_batch, split="validation")
    ways = {
        OURS: lambda: timed(lambda: many(examples), units=len(examples)),
        USUAL: _asking(usual, itertools.cycle(examples)),
    }
    return alternate(ways, rounds=3, seconds=plan.answer_seconds)


def _asking(way: ours.Answering, examples: Any) -> Callable[[], Work]:
    def block() -> Work:
        example: Example = next(examples)
        return timed(lambda: way(example.question, example.context), units=1)

    return block


def usual_way(plan: Plan, methods: Sequence[str]) -> ours.Answering:
    """A model a method, asked one after another."""
    from spantune.modeling.devices import choose_device

    device, tokenizer = choose_device(plan.device), load_tokenizer(plan.model)
    models = [usual_recipe.load_model(plan.model, method).to(device).eval() for method in methods]

    def answers(question: str, context: str) -> list[str]:
        return [usual_recipe.ask(model, tokenizer, question, context, plan.windows) for model in models]

    return answers


def _latencies(rounds: Sequence[Round]) -> str:
    """p50 and p95 of both sides."""
    milliseconds = {name: [1000 * one[name].seconds for one in rounds] for name in (OURS, USUAL)}
    parts = [f"p50 {percentile(one, 0.5):.0f} ms, p95 {percentile(one, 0.95):.0f} ms" for one in milliseconds.values()]
    return " against ".join(parts)


def _counted(methods: Sequence[str]) -> str:
    return f"{len(methods)} method{'s' if len(methods) > 1 else ''}"
