"""Training: examples a second against the usual recipe, and the share of the machine's matrix rate that is used.

Same encoder, data, batch and adapter on both sides; each side trains with its own defaults else. A block is a few
optimiser steps out of the middle of a training, data loading included. An example counts as the windows that its side
makes of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours, usual_recipe
from benchmarks.flops import StepCost, step_cost
from benchmarks.material import corpus_of, encoder
from benchmarks.matmul import MatrixProduct
from benchmarks.measure import Ratio, Round, Work, alternate, compare, rates, timed
from benchmarks.plan import Plan
from benchmarks.results import Figure, Part
from benchmarks.turns import Turns
from spantune.data import Corpus
from spantune.modeling import load_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

BARS, SHARE_BARS = {"full": 6.0, "lora": 10.0}, {"lora": 50.0}
GPU_BAR = 4.0
OURS, USUAL, PEAK = "spantune", "usual recipe", "matrix product"


@dataclass(frozen=True)
class Side:
    """One side's training: `turns` trains windows, of which each example makes `windows_per_example`."""

    turns: Turns
    windows_per_example: float
    cost: StepCost

    def steps_in(self, seconds: float) -> int:
        """How many steps take about `seconds`, at least one; trains two to find out."""
        self.block(1)  # makes kernels and the optimiser's state
        return max(1, round(seconds / self.block(1).seconds))

    def block(self, steps: int) -> Work:
        """Train some steps; units are examples, `flops` those that the real tokens need."""
        device = self.turns.trainer.args.device
        done = timed(lambda: self.turns.steps(steps), units=0, device=device)
        lengths = self.turns.lengths()
        return Work(len(lengths) / self.windows_per_example, done.seconds, self.cost.of(lengths))


def measure(plan: Plan) -> Part:
    """All methods of the plan, one after another."""
    with tempfile.TemporaryDirectory() as scratch:
        plan = replace(plan, model=encoder(plan.model, Path(scratch)))
        corpus = corpus_of(plan.data, plan.train_examples)
        features = usual_recipe.training_features(corpus.examples, load_tokenizer(plan.model), plan.windows)
        figures: list[Figure] = []
        details: dict[str, Any] = {}
        for method in plan.methods:
            rounds = _rounds(plan, method, corpus, features, Path(scratch))
            figures += _figures(plan, method, rounds)
            details[method] = {"examples_per_second": _examples_per_second(rounds), "rounds": _raw(rounds)}
    return Part("train", tuple(figures), details=details)


def _rounds(plan: Plan, method: str, corpus: Corpus, features: Dataset, folder: Path) -> list[dict[str, Work]]:
    config, cost = ours.config_of(plan, method), step_cost(plan.model, method)
    device, dtype = ours.device_and_dtype(config)
    size = plan.matmul_size * (4 if device.type == "cuda" else 1)
    peak = MatrixProduct(size, device, dtype, seconds=plan.matmul_seconds)

    fast = ours.trainer(config, corpus, folder, steps=usual_recipe.ENDLESS)
    model = usual_recipe.load_model(plan.model, method)
    usual = usual_recipe.trainer(model, features, folder, batch_size=plan.batch_size, device=plan.device)
    examples = len(corpus.examples)
    with Turns(fast) as fast_turns, Turns(usual) as usual_turns:
        fast_side = Side(fast_turns, len(fast.lengths) / examples, cost)
        usual_side = Side(usual_turns, len(features) / examples, cost)
        fast_steps, usual_steps = (side.steps_in(plan.train_block_seconds) for side in (fast_side, usual_side))
        fast_side.block(fast_steps)  # its batches have many lengths, and each has kernels of its own
        ways = {
            OURS: lambda: fast_side.block(fast_steps),
            PEAK: peak.block,
            USUAL: lambda: usual_side.block(usual_steps),
        }
        return alternate(ways, rounds=plan.train_rounds, seconds=plan.train_seconds, warm_up=0)


def _figures(plan: Plan, method: str, rounds: Sequence[Round]) -> list[Figure]:
    on_gpu = ours.device_and_dtype(ours.config_of(plan, method))[0].type == "cuda"
    bar = (GPU_BAR if on_gpu else BARS[method]) if method in BARS else None
    speeds = _examples_per_second(rounds)
    note = f"{speeds[OURS]:.3g} against {speeds[USUAL]:.3g} examples/s"
    share = Ratio.of([one[OURS].flops_per_second / one[PEAK].flops_per_second for one in rounds])
    usual_share = Ratio.of([one[USUAL].flops_per_second / one[PEAK].flops_per_second for one in rounds])
    gflops = rates(rounds)[PEAK] / 1e9
    return [
        Figure.ratio(f"training, {method}, against the usual recipe", compare(rounds, OURS, USUAL), bar=bar, note=note),
        Figure.share(
            f"share of the measured matrix rate, training {method}",
            share,
            bar=SHARE_BARS.get(method) if not on_gpu else None,
            note=f"real tokens only, of {gflops:.4g} GFLOP/s; the usual recipe {100 * usual_share.median:.2g}%",
        ),
    ]


def _examples_per_second(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: rate for name, rate in rates(rounds).items() if name != PEAK}


def _raw(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    return [{name: asdict(work) for name, work in one.items()} for one in rounds]
