"""Every part runs, on a tiny encoder, and gives the figures that the issue of speed asks for."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tiny import squad, write

from benchmarks import answer, decoding, evaluate, growth, memory, quality, train
from benchmarks.material import examples_of, longest_of, repeated
from benchmarks.plan import LONG, SHORT, Plan
from benchmarks.results import Figure, Part

pytestmark = pytest.mark.exhaustive


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_LEAST_SECONDS", 1e-9)
    monkeypatch.setattr("spantune.training.run.run_plots", lambda folder: [])


def bars(part: Part) -> dict[str, str]:
    return {one.what: f"{one.bar.kind} {one.bar.value:g}" for one in part.figures if one.bar is not None}


def by_name(part: Part) -> dict[str, Figure]:
    return {one.what: one for one in part.figures}


def test_train(plan: Plan) -> None:
    part = train.measure(plan)
    assert bars(part) == {
        "training, lora, against the usual recipe": "at least 10",
        "share of the measured matrix rate, training lora": "at least 50",
    }
    ratio, share = part.figures
    first = part.details["lora"]["rounds"][0]
    assert ratio.pairs == 2 and ratio.low is not None and ratio.low <= ratio.value
    assert share.value > 0
    fast, usual = first["spantune"], first["usual recipe"]
    # One window an example here: a block trains whole batches of 4.
    assert fast["units"] % 4 == 0 and usual["units"] % 4 == 0 and fast["units"] > 0
    # Both sides count the real tokens of windows that look alike.
    assert fast["flops"] / fast["units"] == pytest.approx(usual["flops"] / usual["units"], rel=0.2)


def test_evaluate(plan: Plan) -> None:
    part = evaluate.measure(plan)
    assert bars(part) == {"evaluation, text to score": "at least 5"}
    assert {name: scored["total"] for name, scored in part.details["scores"].items()} == {
        "spantune": 6,
        "usual recipe": 6,
    }


def test_decoding(plan: Plan) -> None:
    part = decoding.measure(plan)
    assert bars(part) == {"decoding alone, against the triple loop": "at least 50"}
    assert [(one["examples"], one["equal"] + one["better"]) for one in part.details["agreement"]] == [(8, 8), (3, 3)]


def test_memory(plan: Plan) -> None:
    alone = threading.Lock()  # two trainings in one process would share accelerate's state

    def spawn(task: memory.Task) -> memory.Held:
        with alone:
            return memory.run(task)

    part = memory.measure(plan, spawn=spawn)
    assert bars(part) == {
        "spantune, evaluating 3× the examples, beyond the data": "at most 1.2",
        "each further adapter in a serving process": "at most 10",
    }
    assert "usual recipe against spantune, training 1× the examples" in by_name(part)
    assert len(part.details["held"]) == 2 * (2 + 1) + 1
    assert all(one["peak"] > 1e6 for one in part.details["held"].values())


def test_memory_leaves_out_the_data(plan: Plan) -> None:
    """A process that holds 100 bytes and its data file has not grown, however long the file."""

    def spawn(task: memory.Task) -> memory.Held:
        return memory.Held(100 + task.data_bytes if task.data else 0, first=int(3e6), last=int(23e6))

    figures = by_name(memory.measure(replace(plan, memory_factors_usual=(1, 2, 3)), spawn=spawn))
    for what in ("spantune, evaluating 3×", "usual recipe, evaluating 2×", "usual recipe, training 3×"):
        assert figures[f"{what} the examples, beyond the data"].value == 1.0
    assert figures["each further adapter in a serving process"].value == 4.0


def test_a_task_survives_the_way_to_its_process(plan: Plan) -> None:
    task = memory.Task("spantune", "train", plan, "/scratch", "data.json", factor=10, steps=6, runs=("one", "two"))
    assert memory._task(json.dumps(asdict(task))) == task


@pytest.mark.slow
def test_a_process_of_its_own(plan: Plan) -> None:
    part = memory.measure(replace(plan, memory_factors=(1, 2), memory_factors_usual=(1,)))
    assert all(1e8 < one["peak"] < 1e10 for one in part.details["held"].values())


def test_growth(plan: Plan) -> None:
    part = growth.measure(plan)
    stages = ("cutting into windows", "order of batches", "reading batches", "decoding", "scoring")
    whole = ("training altogether", "evaluation altogether")
    assert {one.what.split(", ")[1] for one in part.figures} == {*stages, *whole}
    assert len(part.figures) == 2 * 1 + 3 * 2 + 2 * 2
    assert {one.split(", ")[1] for one in bars(part)} == set(whole)
    assert set(bars(part).values()) == {"at most 1.25"}


def test_growth_altogether(plan: Plan) -> None:
    grown = {stage: [growth.Growth(10, 3.0, 2.0)] for stage in growth.OF["training"]}
    assert growth._whole("training", 6.0, grown, 10, plan).value == 1.5


def test_growth_of_a_stage_that_grows() -> None:
    from benchmarks.measure import Work

    (grown,) = growth.growth(lambda size: lambda: Work(size, size**2), [10, 30])
    assert (grown.size, grown.cost, grown.at_first, grown.ratio) == (30, 30.0, 10.0, 3.0)


def test_answer(plan: Plan) -> None:
    part = answer.measure(plan)
    assert bars(part) == {"2 methods answering one question": "at least 3"}
    assert list(by_name(part)) == [
        "1 method answering one question",
        "2 methods answering one question",
        "2 methods answering 3 questions",
    ]
    assert "p95" in part.figures[0].note
    assert all(len(seconds) >= 1 for sides in part.details.values() for seconds in sides.values())


def test_quality_is_left_out_without_seeds(plan: Plan) -> None:
    assert quality.measure(plan).figures == ()


def test_quality(plan: Plan, tmp_path: Path) -> None:
    few = write(tmp_path / "few.json", squad(4))
    part = quality.measure(replace(plan, data=few, quality_seeds=(0, 1)))
    (figure,) = part.figures
    assert figure.unit == "F1" and "2 seeds" in figure.what
    assert len(part.details["fast"]) == len(part.details["slow"]) == 2


def test_repeated_examples_are_all_different(plan: Plan) -> None:
    examples = repeated(examples_of(plan.data, 3), 8)
    assert len({one.id for one in examples}) == len({one.context for one in examples}) == 8
    for one in examples:
        assert all(one.context[answer.start :].startswith(answer.text) for answer in one.answers)


def test_few_examples_are_spread_over_the_source(plan: Plan) -> None:
    assert [one.id.split("-")[1] for one in examples_of(plan.data, 4)] == ["0", "10", "20", "30"]


def test_the_longest_examples_come_first(plan: Plan) -> None:
    every = {len(one.context) for one in examples_of(plan.data, 80)}
    assert {len(one.context) for one in longest_of(plan.data, 2)} <= set(sorted(every)[-2:])


def test_the_long_plan_measures_the_same_and_more() -> None:
    assert LONG.methods == SHORT.methods and LONG.quality_seeds and not SHORT.quality_seeds
    assert LONG.growth_slow_sizes == LONG.growth_sizes
    assert all(size % SHORT.growth_sizes[0] == 0 for size in LONG.growth_sizes)
