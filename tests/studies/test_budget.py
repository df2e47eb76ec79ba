"""What a study will take, and what it leaves out where there is not enough time."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import Pretend, made_up

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import UserError
from spantune.reports.tables.number_format import duration
from spantune.runs import DataRecord, RunRecord
from spantune.studies import StudyRecord, compare
from spantune.studies.budget import Clock, Forecast, Rate, fit
from spantune.studies.plan import arms, final_run
from spantune.studies.run_state import DataFacts, facts_as_they_are
from spantune.studies.worker_process import Outcome

pytestmark = pytest.mark.usefixtures("no_plots")
PRETENDED = Rate(start=2.0, learn=0.1, score=0.01)


class Timed(Pretend):
    """Its runs take the time that their records say, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slower: float = 1.0, **named: Any) -> None:
        super().__init__(**named)
        self.now, self.slower = 0.0, slower
        monkeypatch.setattr(Clock.__init__, "__defaults__", (lambda: self.now,))

    def carry_out(self, config: TrainConfig) -> Outcome:
        outcome = super().carry_out(config)
        seconds = RunRecord.read(Path(config.output)).timings.wall_seconds
        probe = ".spantune-probe" in config.output
        self.now += seconds * (1.0 if probe else self.slower)
        return outcome


def run(config: CompareConfig, executor: Pretend) -> tuple[StudyRecord, list[str]]:
    said: list[str] = []
    return compare(config, said.append, executor), said


def test_a_rate_is_what_a_run_took(config: Any) -> None:
    record = made_up(replace(config(), epochs=2.0, learning_rate=1.0), 50.0)
    rate = Rate.of(record)
    assert rate is not None
    assert (rate.start, rate.learn, rate.score) == pytest.approx((2.0, 0.1, 0.01))
    assert Rate.of(replace(record, timings=replace(record.timings, examples_per_second=None))) is None
    sizes = {"train": 100, "selection": 10, "reported": 20}
    facts = DataFacts({name: DataRecord((), "", size) for name, size in sizes.items()})
    # 2 to begin, 2 epochs of 100 examples, the selection split thrice and the reported set once.
    assert rate.seconds(config(epochs=2.0), facts) == pytest.approx(2 + 20 + 0.5)


def test_a_clock() -> None:
    now = [0.0]
    clock = Clock(1.0, lambda: now[0])
    now[0] = 5.0
    assert clock.left == 55 and clock.holds(49) and not clock.holds(51), "with a tenth to spare"
    assert clock.holds(None) and Clock(None).left == math.inf and Clock(None).holds(1e9)
    now[0] = 61
    assert not clock.holds(None)


@pytest.fixture
def seconds(study: Any) -> Any:
    """What a study takes where every final run takes 10 seconds and a point of a sweep 1 for 100 examples."""

    def took(config: CompareConfig, kept: Any) -> float:
        points = sum(3 for arm in kept if arm.parameters) * config.sweep_examples / 100
        return len(kept) * len(config.seeds) * 10 + points

    return took


@pytest.mark.parametrize(
    ("left", "seeds", "examples", "methods", "out"),
    [
        (200.0, (0, 1, 2), 1000, 2, ()),
        (120.0, (0, 1), 1000, 2, ("seed 2",)),
        (100.0, (0,), 1000, 2, ("seed 2", "seed 1")),
        (70.0, (0,), 500, 2, ("seed 2", "seed 1", "500 of the 1,000 examples of each run of the sweep")),
        (25.0, (0,), 125, 1, ("seed 2", "seed 1", "875 of the 1,000 examples of each run of the sweep", "lora")),
        (1.0, (0,), 125, 1, ("seed 2", "seed 1", "875 of the 1,000 examples of each run of the sweep", "lora")),
    ],
)
def test_what_is_left_out_and_in_which_order(
    left: float, seeds: tuple[int, ...], examples: int, methods: int, out: tuple[str, ...], study: Any, seconds: Any
) -> None:
    config = study(seeds=(0, 1, 2), sweep=("learning-rate",))
    found = fit(config, arms(config), seconds, left)
    assert (found.config.seeds, found.config.sweep_examples, len(found.arms)) == (seeds, examples, methods)
    assert found.left_out == out


def test_a_sweep_that_was_begun_keeps_its_examples(study: Any, seconds: Any) -> None:
    config = study(seeds=(0, 1, 2), sweep=("learning-rate",))
    assert fit(config, arms(config), seconds, 1e9, begun=250).config.sweep_examples == 250
    found = fit(config, arms(config), seconds, 70.0, begun=250)
    assert (found.config.sweep_examples, found.config.seeds, found.left_out) == (250, (0, 1), ("seed 2",))


def a_run_takes(config: CompareConfig) -> float:
    final = final_run(config, arms(config)[0], 0, {})
    facts = facts_as_they_are()(final)
    assert facts is not None
    return PRETENDED.seconds(final, facts)


def test_the_plan_is_told_with_its_estimate_and_nothing_is_begun(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Timed(monkeypatch)
    config = study(seeds=(0, 1), plan=True)
    result, said = run(config, executor)
    assert executor.names == ["probe-full", "probe-lora"]
    for job in executor.ran:
        assert job.config.max_train_examples == 64 and not job.config.score_reported, "six batches of eight"
        assert job.config.epochs == 1 and not job.config.mlflow
    each = a_run_takes(config)
    assert said[-1] == f"estimate: full {duration(each)}, lora {duration(each)} a run; {duration(4 * each)} in all"
    assert [one.name for one in (tmp_path / "study").iterdir()] == [".locks"]
    assert [one.status for one in result.runs] == ["planned"] * 4


def test_what_the_budget_cannot_hold_is_said_and_left_out(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, said = run(study(seeds=(0, 1, 2), budget_minutes=0.9), executor := Timed(monkeypatch))
    assert executor.names == ["probe-full", "probe-lora", "full-0", "lora-0", "full-1", "lora-1"]
    assert executor.now < 0.9 * 60
    (line,) = [one for one in said if one.startswith("left out")]
    assert line.startswith("left out to hold it: seed 2; what stays takes ") and result.left_out == ("seed 2",)
    assert said.index(line) < said.index("[1/4] full, seed 0: run (new)")
    assert [one.status for one in result.runs] == ["finished", "finished", "skipped"] * 2
    assert result.runs[2].reason == "left out to hold the budget of 0.9 minutes"
    assert result.status == "finished" and result.failures() is None
    assert any("left" in one and "of the budget" in one for one in said if "F1" in one)
    assert StudyRecord.read(tmp_path / "study").left_out == ("seed 2",)


def test_a_run_that_would_not_end_in_time_is_not_begun(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs turn out to take longer than the estimate."""
    result, said = run(study(seeds=(0, 1), budget_minutes=1.0), executor := Timed(monkeypatch, slower=2.5))
    assert executor.names == ["probe-full", "probe-lora", "full-0", "lora-0"]
    assert [one.status for one in result.runs] == ["finished", "skipped", "finished", "skipped"]
    assert result.runs[1].reason == "it would take about 9 s, 3 s are left"
    assert any(line.startswith("  full, seed 1: not begun: it would take about") for line in said)
    again, _ = run(study(seeds=(0, 1)), executor := Pretend())
    assert executor.names == ["full-1", "lora-1"], "the same command without the budget does the rest"
    assert [one.status for one in again.runs] == ["finished"] * 4


def test_no_speed_is_measured_once_the_budget_is_used_up(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs begin side by side and take far longer than the estimate."""
    config = study(budget_minutes=1.0, cost_seconds=1.0)
    _, said = run(config, executor := Timed(monkeypatch, slower=20.0, workers=2))
    assert executor.names[-2:] == ["full-0", "lora-0"] and executor.now > 60
    assert said.count("  the budget is used up: the speed of the other runs is not measured") == 1
    run(replace(config, budget_minutes=None), again := Pretend(workers=2))
    measured = [job.name for job in again.ran if job.config.cost_seconds]
    assert measured == ["full-0", "lora-0"], "the same command without the budget does it"


def test_a_step_beyond_an_edge_leaves_the_final_runs_their_time(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upwards = Timed(monkeypatch, f1=lambda config: config.learning_rate)
    config = study(methods=("lora",), sweep=("learning-rate",), sweep_examples=80, budget_minutes=0.75, sweep_extend=5)
    result, _ = run(config, upwards)
    (sweep,) = result.sweeps
    assert [one.status for one in sweep.points] == ["finished"] * 3 + ["skipped"]
    assert "are needed for the final runs" in sweep.points[3].reason and "needed for the final" in sweep.edge
    assert [one.status for one in result.runs] == ["finished"] and upwards.now < 0.75 * 60


def test_a_method_that_cannot_be_timed_is_tried_all_the_same(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Timed(monkeypatch, ends={"probe-lora": Outcome("no such layer")})
    _, said = run(study(budget_minutes=5.0), executor)
    assert "  lora: cannot be timed: no such layer" in said and executor.names[2:] == ["full-0", "lora-0"]
    assert any("lora unknown" in line for line in said)
    with pytest.raises(UserError, match="no such data"):
        run(
            study(budget_minutes=5.0, output=f"{study().output}-2"),
            Pretend(ends={"probe-full": Outcome("no such data", shared="study")}),
        )


def test_finished_runs_are_what_others_are_timed_by(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run(study(), Pretend())
    config = study(seeds=(0, 1), plan=True)
    _, said = run(config, executor := Timed(monkeypatch))
    each = a_run_takes(config)
    assert executor.ran == []
    assert said[-1] == f"estimate: full {duration(each)}, lora {duration(each)} a run; {duration(2 * each)} in all"


def test_what_is_done_and_waits_to_be_read_is_not_left(study: Any) -> None:
    config = study(seeds=(0, 1))
    _, said = run(config, Pretend())
    assert any(line.startswith("  lora, seed 0: F1 50.0") and "about" in line for line in said)
    shutil.rmtree(Path(config.output) / "lora-0")
    _, said = run(config, Pretend())
    (told,) = [line for line in said if "F1" in line]
    assert told.startswith("  lora, seed 0: F1 50.0") and "left" not in told


@pytest.mark.parametrize("search", ["grid", "optuna"])
def test_finished_points_of_a_sweep_are_not_still_to_do(search: str, study: Any) -> None:
    if search == "optuna":
        pytest.importorskip("optuna")
    config = study(methods=("lora",), sweep=("learning-rate",), sweep_examples=40, search=search, trials=3)

    def left() -> float:
        return Forecast({"lora": PRETENDED}, facts_as_they_are(), 0).study(config, arms(config))

    whole, final = left(), a_run_takes(config)
    with pytest.raises(KeyboardInterrupt):
        run(config, executor := Pretend(ends={"lora-0": KeyboardInterrupt()}))
    assert len(executor.names) == 4 and left() == pytest.approx(final) and whole > final
    shutil.rmtree(Path(config.output) / executor.names[0])
    assert left() == pytest.approx(final + (whole - final) / 3)
    other = replace(config, sweep_examples=30)
    assert Forecast({"lora": PRETENDED}, facts_as_they_are(), 0).study(other, arms(other)) > left(), "another sweep"
