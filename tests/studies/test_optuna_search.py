"""Optuna as the search: typed ranges, trials that are gone on with, and workers that share them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from stand_ins import Pretend, StandIn

from spantune.config import CompareConfig
from spantune.errors import ConfigError
from spantune.studies import StudyRecord, compare

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def searched(study: Any) -> Any:
    """Makes the configuration of a study that looks for LoRA's rank."""
    pytest.importorskip("optuna")
    space = {"sweep": ("lora.rank", "schedule"), "grid": ("lora.rank=4..64:log", "schedule=linear,cosine")}
    own = {"methods": ("lora",), "search": "optuna", "trials": 6, "sweep_examples": 40}
    return lambda **changes: study(**{**own, **space, **changes})


def ranked(config: Any) -> float:
    return float(config.options["rank"])


def run(config: CompareConfig, executor: StandIn) -> tuple[StudyRecord, list[str]]:
    said: list[str] = []
    return compare(config, said.append, executor), said


def test_trials_are_typed_counted_and_begin_with_the_default(searched: Any, tmp_path: Path) -> None:
    executor = Pretend(ranked, workers=2)
    result, said = run(searched(), executor)
    trials = [job for job in executor.ran if job.name.startswith("sweep/lora-trial-")]
    assert len(trials) == 6 and executor.most == 2 and executor.names[-1] == "lora-0"
    ranks = [job.config.options["rank"] for job in trials]
    assert ranks[0] == 16 and all(isinstance(rank, int) and 4 <= rank <= 64 for rank in ranks)
    (sweep,) = result.sweeps
    assert sweep.grid == {"lora.rank": "4..64:log", "schedule": "linear, cosine"} and sweep.search == "optuna"
    assert sweep.chosen["lora.rank"] == max(ranks) == executor.ran[-1].config.options["rank"]
    assert sweep.why == f"F1 {max(ranks):.1f} on the selection split, the best of 6 trials"
    assert "6 runs by Optuna" in said[1] and (tmp_path / "study" / "optuna.db").is_file()
    again, _ = run(searched(), idle := Pretend(ranked))
    assert idle.ran == [] and again.sweeps == result.sweeps


def test_a_worker_that_was_stopped_goes_on_with_its_trials(searched: Any) -> None:
    ends = {"sweep/lora-trial-2": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(searched(), first := Pretend(ranked, ends=ends))
    result, _ = run(searched(), second := Pretend(ranked))
    assert first.names + second.names == [*(f"sweep/lora-trial-{n}" for n in (0, 1, 2, 2, 3, 4, 5)), "lora-0"]
    assert first.ran[-1].config.options == second.ran[0].config.options, "with the same values"
    assert len(result.sweeps[0].points) == 6


def test_workers_share_their_trials(searched: Any, tmp_path: Path) -> None:
    shared = {"storage": f"sqlite:///{tmp_path}/shared.db"}
    with pytest.raises(KeyboardInterrupt):
        run(searched(**shared), first := Pretend(ranked, ends={"sweep/lora-trial-3": KeyboardInterrupt()}))
    other = searched(**shared, output=str(tmp_path / "other"))
    # The first worker's open trial is an old one here: nobody waits for a worker that is gone.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spantune.studies.optuna_search._STALE_SECONDS", -1.0)
        result, _ = run(other, second := Pretend(ranked))
    assert len([name for name in second.names if "trial" in name]) == 2, "six in all, four of the other"
    ranks = [job.config.options["rank"] for job in (*first.ran[:3], *second.ran[:2])]
    assert result.sweeps[0].chosen["lora.rank"] == max(ranks)
    elsewhere = [one for one in result.sweeps[0].points if one.status == "elsewhere"]
    assert len(elsewhere) == 3 and all(one.f1 == one.values["lora.rank"] for one in elsewhere)
    run(searched(**shared, output=str(tmp_path / "third"), max_length=40), executor := Pretend(ranked))
    assert len(executor.names) == 7, "other settings share nothing"


def test_a_failed_trial_is_none_of_the_best(searched: Any) -> None:
    result, _ = run(searched(), Pretend(lambda config: "diverged" if config.options["rank"] > 20 else ranked(config)))
    assert result.sweeps[0].chosen["lora.rank"] <= 20
    assert {one.reason for one in result.sweeps[0].points if one.status == "failed"} <= {"diverged"}


def test_trials_that_failed_or_found_no_time_are_tried_again(searched: Any) -> None:
    """By the same command; each once, also where it is called several times."""
    best: list[int] = []

    def at_first(config: Any) -> float | str:
        best[:] = [*best, config.options["rank"]]
        return "out of memory" if len(best) == 2 else ranked(config) - 100 * (len(best) != 2)

    result, _ = run(searched(), first := Pretend(at_first))
    failed = first.ran[1].config.options["rank"]
    assert [one.status for one in result.sweeps[0].points].count("failed") == 1
    for missing in ([failed], []):
        again, _ = run(searched(), second := Pretend(ranked))
        trials = [job for job in second.ran if "trial" in job.name]
        assert [one.config.options["rank"] for one in trials] == missing
        assert again.sweeps[0].chosen["lora.rank"] == failed
        assert [one.status for one in again.sweeps[0].points] == ["finished"] * 6


def test_a_storage_that_cannot_be_used(searched: Any) -> None:
    for storage in ("nonsense", "sqlite:////no/such/folder/x.db"):
        with pytest.raises(ConfigError, match="the storage of Optuna's trials cannot be used"):
            run(searched(storage=storage), StandIn())


def test_optuna_is_not_installed(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="--search optuna needs Optuna") as raised:
        run(study(search="optuna", sweep=("learning-rate",)), StandIn())
    assert "pip install spantune[optuna]" in str(raised.value)
