"""A study with a sweep, its runs made up: the same budget for all, chosen without the reported set, written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stand_ins import InProcess, Pretend, StandIn

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.methods import get
from spantune.runs import RunRecord
from spantune.studies import StudyRecord, compare, summary

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def swept(study: Any) -> Any:
    """Makes the configuration of a study that sweeps the learning rate on 40 of 80 examples."""
    return lambda **changes: study(**{"sweep": ("learning-rate",), "sweep_examples": 40, "seeds": (0, 1), **changes})


def run(config: CompareConfig, executor: StandIn) -> tuple[StudyRecord, list[str]]:
    said: list[str] = []
    return compare(config, said.append, executor), said


def best_at(**rates: float) -> Any:
    """F1 by how near the learning rate of a method is to its best."""

    def f1(config: TrainConfig) -> float:
        assert config.learning_rate is not None
        return 60 / (1 + abs(config.learning_rate / rates[config.method] - 1))

    return f1


def test_every_method_has_the_same_budget_and_the_final_runs_take_what_was_chosen(swept: Any, tmp_path: Path) -> None:
    executor = Pretend(best_at(full=1e-4, lora=2e-3))
    result, said = run(swept(), executor)
    rates = {"full": ("5e-05", "0.0001", "0.0002"), "lora": ("0.0005", "0.001", "0.002", "0.004")}
    points = [f"sweep/{name}-learning-rate-{one}" for name, tried in rates.items() for one in tried]
    assert executor.names == [*points, "full-0", "lora-0", "full-1", "lora-1"], "seed by seed"
    for job in executor.ran:
        config, small = job.config, job.name in points
        assert (config.max_train_examples, config.epochs) == ((40, 1.0) if small else (None, 1))
        assert config.score_reported is not small, "the reported set is not for choosing"
        assert config.seed == 0 or not small
        assert ("reported" in RunRecord.read(tmp_path / "study" / job.name).data) is not small
    final = [job.config.learning_rate for job in executor.ran[len(points) :]]
    assert final == [1e-4, 2e-3, 1e-4, 2e-3]
    assert said[0] == "2 methods × 2 seeds: 4 runs"
    assert "6 runs, and up to 2 steps beyond an edge, each on 40 examples, 1 epoch, seed 0" in said[1]
    assert said[3] == "  lora: learning-rate 0.0005, 0.001, 0.002"
    assert "  lora: learning-rate 0.002 (F1 60.0 on the selection split, the best of 4)" in said
    assert len(result.records) == 4 and "lora on" in summary(result)


def test_refit_trains_on_the_selection_split_too_once_the_settings_are_chosen(swept: Any) -> None:
    executor = Pretend(best_at(full=1e-4, lora=2e-3))
    result, _ = run(swept(refit=True, selection_fraction=0.2), executor)
    fractions = {job.name.partition("/")[0]: job.config.selection_fraction for job in executor.ran}
    assert fractions == {"sweep": 0.2, "full-0": 0.0, "lora-0": 0.0, "full-1": 0.0, "lora-1": 0.0}
    assert result.protocol["refit"] is True


def test_the_record_of_a_study_can_be_read_again(swept: Any, tmp_path: Path) -> None:
    result, _ = run(swept(sweep_extend=1), Pretend(best_at(full=1e-4, lora=1.0)))
    again = StudyRecord.read(tmp_path / "study")
    assert again == result and again.status == "finished" and again.finished_at is not None
    assert again.protocol["sweep"] == ["learning-rate"] and again.protocol["methods"] == ["full", "lora"]
    full, lora = again.sweeps
    assert (lora.method, lora.search, lora.examples, lora.epochs, lora.seed) == ("lora", "grid", 40, 1.0, 0)
    assert lora.grid == {"learning_rate": "0.0005, 0.001, 0.002"}
    assert [(one.values["learning_rate"], one.extension) for one in lora.points] == [
        (5e-4, 0),
        (1e-3, 0),
        (2e-3, 0),
        (4e-3, 1),
    ]
    assert all(one.status == "finished" and 0 < one.questions < 20 and one.em == one.f1 / 2 for one in lora.points)
    assert lora.chosen == {"learning_rate": 4e-3} and lora.why == "F1 30.1 on the selection split, the best of 4"
    assert lora.edge == "learning-rate 0.004 is the highest that was tried (the bound of 1 extension)"
    assert full.edge is None and full.chosen == {"learning_rate": 1e-4}
    assert [(one.folder, one.status, one.values["learning_rate"]) for one in again.runs] == [
        ("full-0", "finished", 1e-4),
        ("full-1", "finished", 1e-4),
        ("lora-0", "finished", 4e-3),
        ("lora-1", "finished", 4e-3),
    ]
    assert [one.path.name for one in again.folders] == [one.folder for one in again.runs]
    assert not (tmp_path / "study" / lora.points[0].folder / "adapter").exists(), "only its score is wanted"
    assert (tmp_path / "study" / "lora-0" / "adapter").exists()


def test_a_sweep_goes_on_where_it_was(swept: Any, tmp_path: Path) -> None:
    f1 = best_at(full=1e-4, lora=2e-3)
    first = Pretend(f1, ends={"sweep/lora-learning-rate-0.004": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(swept(), first)
    assert first.closed and StudyRecord.read(tmp_path / "study").status == "interrupted"
    second = Pretend(f1)
    result, said = run(swept(), second)
    assert second.names == ["sweep/lora-learning-rate-0.004", "full-0", "lora-0", "full-1", "lora-1"]
    assert any(line.endswith("sweep of lora, learning-rate 0.002: done (finished before)") for line in said)
    third = Pretend(f1)
    again, _ = run(swept(), third)
    assert third.ran == [] and again.records == result.records and again.sweeps == result.sweeps
    assert {(one.plan, one.status) for one in again.runs} == {("done", "finished")}


def test_a_sweep_with_other_settings_is_not_overwritten_unasked(swept: Any, tmp_path: Path) -> None:
    ends = {"full-0": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(swept(), Pretend(ends=ends))
    with pytest.raises(ConfigError, match="batch-size: 8 then, 4 now"):
        run(swept(batch_size=4), Pretend())
    run(swept(sweep_epochs=2.0), executor := Pretend())
    assert len([name for name in executor.names if "sweep" in name]) == 6, "another budget is another sweep"


def test_another_choice_trains_the_final_runs_again_and_says_why(swept: Any) -> None:
    run(swept(), Pretend(best_at(full=1e-4, lora=1e-3)))
    executor = Pretend(best_at(full=1e-4, lora=2e-3))
    _, said = run(swept(sweep_epochs=2.0), executor)
    assert [name for name in executor.names if "sweep" not in name] == ["lora-0", "lora-1"]
    assert any("lora, seed 0: run (changed: learning-rate: 0.001 then, 0.002 now)" in line for line in said)


def test_a_failed_point_is_one_that_was_tried(swept: Any, tmp_path: Path) -> None:
    def diverges(config: TrainConfig) -> float | str:
        if config.method == "lora" and config.learning_rate > 1e-3 and not config.score_reported:
            return "the model has diverged"
        return best_at(full=1e-4, lora=1.0)(config)

    result, _ = run(swept(), Pretend(diverges))
    lora = result.sweeps[1]
    assert [one.status for one in lora.points] == ["finished", "finished", "failed"] and lora.edge is None
    assert lora.points[2].reason == "the model has diverged" and lora.chosen == {"learning_rate": 1e-3}
    assert [one.folder for one in result.failed] == ["sweep/lora-learning-rate-0.002"]
    assert "sweep/lora-learning-rate-0.002: the model has diverged" in result.failures()


def test_a_method_of_which_no_point_finished_is_not_run(swept: Any) -> None:
    result, _ = run(swept(), Pretend(lambda config: 50.0 if config.method == "full" else "no such layer"))
    assert [(one.folder, one.status) for one in result.runs][2:] == [("lora-0", "skipped"), ("lora-1", "skipped")]
    assert result.runs[2].reason == "nothing was chosen for it: no run of the sweep finished"
    assert result.sweeps[1].chosen is None and "lora" in result.failures()
    assert "not run: lora-0: nothing was chosen for it" in summary(result)
    with pytest.raises(RunError, match="no run of the study finished"):
        run(swept(methods=("lora",)), Pretend(lambda config: "no such layer"))


def test_an_option_can_be_chosen(swept: Any) -> None:
    executor = Pretend(lambda config: float(config.options.get("rank", 0)))
    result, said = run(swept(sweep=("lora.rank",), grid=("lora.rank=2,4",), sweep_extend=1), executor)
    assert [job.config.options["rank"] for job in executor.ran if "lora" in job.name] == [2, 4, 8, 8, 8]
    assert result.sweeps[0].chosen == {"lora.rank": 8} and len(result.sweeps) == 1
    assert any("CAUTION: the methods' sweeps differ in their number of runs (full 0, lora 2)" in line for line in said)
    assert any("differ in their number" in note for note in result.notes)


def test_several_encoders(study: Any, bert: str, tmp_path: Path) -> None:
    other = tmp_path / "other" / Path(bert).name
    other.parent.mkdir()
    other.symlink_to(bert)
    executor = Pretend()
    result, said = run(study(models=(bert, str(other)), model="minilm", methods=("lora", "full")), executor)
    assert executor.names == ["bert-lora-0", "bert-full-0", "bert-2-lora-0", "bert-2-full-0"]
    assert [job.config.model for job in executor.ran] == [bert, bert, str(other), str(other)]
    assert said[0] == "2 methods × 2 encoders × 1 seed: 4 runs"
    assert any("lora on bert-2, seed 0: run (new)" in line for line in said)
    assert {one.model for one in result.runs} == {bert, str(other)}


def test_trained_sweeps_choose_without_the_reported_set(swept: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """With real runs: their records have no reported set, and their scores are those that were chosen by."""
    grid = ("full.learning-rate=1e-4,3e-3",)
    result, _ = run(swept(methods=("full",), seeds=(0,), grid=grid, sweep_extend=0, sweep_epochs=2.0), InProcess())
    (sweep,) = result.sweeps
    records = [RunRecord.read(tmp_path / "study" / one.folder) for one in sweep.points]
    assert [one.metrics.keys() for one in records] == [{"selection"}, {"selection"}]
    assert [one.metrics["selection"]["f1"] for one in records] == [one.f1 for one in sweep.points]
    assert sweep.points[1].f1 > sweep.points[0].f1 and sweep.chosen == {"learning_rate": 3e-3}
    assert result.records[0].scored_on == "reported" and result.records[0].config["learning_rate"] == 3e-3
    assert get("full").learning_rate != 3e-3
