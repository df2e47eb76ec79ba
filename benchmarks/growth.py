"""Growth: what one example costs at a thousand, ten thousand and a hundred thousand of them, stage by stage.

Only the stages whose cost could depend on the number of examples; a forward pass sees one batch. Each size stands
between two blocks of the first size, and a stage's figure is its cost an example against theirs: 1 is flat, less is a
cost that is paid once. What must be flat is what an example costs altogether: that of a training example (a LoRA step,
and what every stage before it grew by), and that of an evaluated one.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import ours
from benchmarks.decoding import plausible_logits
from benchmarks.material import encoder, examples_of, repeated
from benchmarks.measure import Work, timed
from benchmarks.plan import Plan
from benchmarks.results import Bar, Figure, Part
from benchmarks.turns import Turns
from spantune.answering.windows import Windows
from spantune.data import Corpus

FLAT = 1.25
OF = {
    "training": ("cutting into windows", "order of batches", "reading batches"),
    "evaluation": ("cutting into windows", "decoding", "scoring"),
}
"""The stages that an example goes through, but for the forward and backward pass."""
_LEAST_SECONDS = 0.3  # a block is repeated until it took so long
_STEPS, _EVALUATED = 4, 32


@dataclass(frozen=True)
class Growth:
    """Seconds an example at a size, and at the first size right before and after it (mean)."""

    size: int
    cost: float
    at_first: float

    @property
    def ratio(self) -> float:
        return self.cost / self.at_first


Block = Callable[[], Work]


def measure(plan: Plan) -> Part:
    """Cutting into windows, order and reading of training batches, decoding, scoring."""
    with tempfile.TemporaryDirectory() as scratch:
        plan = replace(plan, model=encoder(plan.model, Path(scratch)))
        stages = Stages(plan)
        whole = {"training": stages.training(), "evaluation": stages.evaluation()}
    made = {
        "cutting into windows": growth(stages.windows, plan.growth_slow_sizes),
        "order of batches": growth(stages.order, plan.growth_sizes),
        "reading batches": growth(stages.reading, plan.growth_sizes),
        "decoding": growth(stages.decoding, plan.growth_slow_sizes),
        "scoring": growth(stages.scoring, plan.growth_sizes),
    }
    figures = [_whole(what, cost, made, size, plan) for what, cost in whole.items() for size in plan.growth_sizes[1:]]
    figures += [_figure(stage, one, plan) for stage, grown in made.items() for one in grown]
    costs = {stage: {one.size: one.cost for one in grown} for stage, grown in made.items()}
    return Part("growth", tuple(figures), details={"seconds_per_example": {**costs, **whole}})


def growth(stage: Callable[[int], Block], sizes: Sequence[int]) -> list[Growth]:
    """The cost of every size but the first, beside the first's."""
    first = stage(sizes[0])
    grown = []
    for size in sizes[1:]:
        block = stage(size)
        before, cost, after = _cost(first), _cost(block), _cost(first)
        grown.append(Growth(size, cost, statistics.mean((before, after))))
    return grown


def _cost(block: Block) -> float:
    """Seconds a unit."""
    block()  # warm
    units = seconds = 0.0
    while seconds < _LEAST_SECONDS:
        done = block()
        units, seconds = units + done.units, seconds + done.seconds
    return seconds / units


def _figure(stage: str, one: Growth, plan: Plan) -> Figure:
    first = plan.growth_sizes[0]
    what = f"cost of an example at {one.size:,} against {first:,}, {stage}"
    note = f"{1e6 * one.cost:.3g} µs against {1e6 * one.at_first:.3g} µs"
    return Figure(what, one.ratio, note=note)


def _whole(what: str, cost: float, made: Mapping[str, Sequence[Growth]], size: int, plan: Plan) -> Figure:
    """What an example costs altogether at a size: a stage that was not tried there counts with its largest size."""
    grown = 0.0
    for stage in OF[what]:
        tried = [one for one in made[stage] if one.size <= size]
        grown += tried[-1].cost - tried[-1].at_first
    title = f"cost of an example at {size:,} against {plan.growth_sizes[0]:,}, {what} altogether"
    note = f"{1e6 * (cost + grown):.4g} µs against {1e6 * cost:.4g} µs"
    return Figure(title, (cost + grown) / cost, bar=Bar(FLAT, "at most"), note=note)


class Stages:
    """A block of each stage at a given number of examples; what it works on is made before it is timed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.predictor = ours.predictor(plan)
        self.model, self.tokenizer = self.predictor.model, self.predictor.tokenizer
        self.first = plan.growth_sizes[0]
        self.base = examples_of(plan.data, self.first)
        self._first_windows: Windows | None = None

    def training(self) -> float:
        """Seconds an example of training with LoRA, at the first size."""
        corpus = self._corpus(self.plan.batch_size)
        with tempfile.TemporaryDirectory() as folder:
            trainer = ours.trainer(ours.config_of(self.plan, "lora"), corpus, Path(folder), steps=_STEPS + 1)
            with Turns(trainer) as turns:
                turns.steps(1)
                done = timed(lambda: turns.steps(_STEPS), units=_STEPS * len(corpus.examples))
        return done.seconds / done.units

    def evaluation(self) -> float:
        """Seconds an example of evaluation, from text to score, at the first size."""
        corpus = self._corpus(_EVALUATED)
        return _cost(lambda: timed(lambda: ours.evaluate(self.predictor, corpus), units=_EVALUATED))

    def windows(self, size: int) -> Block:
        corpus = self._corpus(size)
        return lambda: timed(lambda: self._cut(corpus), units=size)

    def order(self, size: int) -> Block:
        from spantune.answering.batches import LengthBatches

        batches = LengthBatches(self._windows(size).lengths, self.plan.batch_size, seed=0)
        return lambda: timed(lambda: deque(batches, maxlen=0), units=size)

    def reading(self, size: int) -> Block:
        """Random rows out of the windows, padded; a unit is a window."""
        from spantune.answering.batches import LengthBatches, training_batch

        windows = self._windows(size)
        learned = windows.trainable()
        order = LengthBatches(learned["length"][:], self.plan.batch_size, seed=0)
        batches = list(itertools.islice(order, self.plan.growth_batches))

        def read() -> None:
            for batch in batches:
                training_batch(learned[batch], pad_token_id=0, which="all", max_length=windows.rules.max_length)

        return lambda: timed(read, units=sum(map(len, batches)))

    def decoding(self, size: int) -> Block:
        windows = self._windows(size)
        left = ours.as_left_by_the_model(windows, *plausible_logits(windows, windows.rules.max_length))
        return lambda: timed(lambda: ours.decode(windows, left), units=size)

    def scoring(self, size: int) -> Block:
        from spantune.scoring.official_metrics import score

        examples = self._corpus(size).examples
        said = {one.id: one.context[:20] for one in examples}
        return lambda: timed(lambda: score(examples, said), units=size)

    def _corpus(self, size: int) -> Corpus:
        return Corpus.of(repeated(self.base, size), f"{self.plan.data}, {size} questions")

    def _cut(self, corpus: Corpus) -> Windows:
        return ours.windows_of(self.plan.windows, corpus, self.model, self.tokenizer)

    def _windows(self, size: int) -> Windows:
        """The first size's windows again and again: cutting a hundred thousand texts would take minutes."""
        from datasets import Dataset, concatenate_datasets

        if self._first_windows is None:
            self._first_windows = self._cut(self._corpus(self.first))
        first, parts = self._first_windows, []
        column = first.dataset.features["example"]
        for turn in range(size // self.first):
            rows = [row + turn * self.first for row in first.dataset["example"][:]]
            numbered: Dataset = first.dataset.remove_columns("example").add_column("example", rows, feature=column)
            parts.append(numbered)
        return Windows(concatenate_datasets(parts), self._corpus(size), first.rules)
