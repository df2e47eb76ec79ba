"""A run that crashes is tried again in smaller portions, and what that costs is written down."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stand_ins import Pretend, made_up

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import DataError, EncoderError, RunError
from spantune.runs import RunFolder, RunRecord
from spantune.runs.locks import locked
from spantune.studies import StudyRecord, compare
from spantune.studies.worker_process import Outcome, Place, _failed, _take
from spantune.training.run_settings import resolve

pytestmark = pytest.mark.usefixtures("no_plots")


class Crashes(Pretend):
    """Runs of a method crash as often as said, and are then carried out."""

    def __init__(self, times: int, method: str = "lora", word: bool = True) -> None:
        super().__init__()
        self.left, self.method, self.word = times, method, word

    def carry_out(self, config: TrainConfig) -> Outcome:
        if config.method == self.method and self.left:
            self.left -= 1
            if self.word:
                replace(made_up(resolve(config), 0.0), status="running").write(self._folder(config))
            return Outcome("CUDA out of memory. Tried to allocate 2 GiB.\nmore of it", crashed=True)
        return super().carry_out(config)

    def _folder(self, config: TrainConfig) -> Path:
        folder = Path(config.output)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def run(config: CompareConfig, executor: Pretend) -> tuple[StudyRecord, list[str]]:
    said: list[str] = []
    return compare(config, said.append, executor), said


def test_a_run_that_crashed_is_tried_again_in_half_the_portions(study: Any, tmp_path: Path) -> None:
    executor = Crashes(2)
    result, said = run(study(seeds=(0, 1)), executor)
    assert executor.names == ["full-0", "lora-0", "lora-0", "lora-0", "full-1", "lora-1"]
    portions = [(job.config.max_batch_tokens, job.config.eval_batch_size) for job in executor.ran]
    whole = (8192, 32)
    assert portions == [whole, whole, (192, 16), (96, 8), whole, (96, 8)], "the method's later runs begin with them"
    assert [job.config.resume for job in executor.ran] == [False, False, True, True, False, False]
    attempts = tuple(
        f"CUDA out of memory. Tried to allocate 2 GiB.; tried again with {n} tokens at once" for n in (192, 96)
    )
    assert result.runs[2].folder == "lora-0" and result.runs[2].attempts == attempts
    assert result.runs[3].attempts == () and result.failures() is None
    assert RunRecord.read(tmp_path / "study" / "lora-0").notes == attempts
    assert f"  lora, seed 0: {attempts[0]}" in said
    again, _ = run(study(seeds=(0, 1)), calm := Pretend())
    assert calm.ran == [] and again.runs[2].attempts == attempts


def test_its_speed_is_measured_in_the_portions_that_went_through(study: Any) -> None:
    executor = Crashes(1)
    executor.workers = 2
    run(study(cost_seconds=1.0), executor)
    measured = [job for job in executor.ran if job.config.cost_seconds]
    assert [job.name for job in measured] == ["full-0", "lora-0"] and all(job.config.resume for job in measured)
    portions = [(job.config.max_batch_tokens, job.config.eval_batch_size) for job in measured]
    assert portions == [(8192, 32), (192, 16)]


@pytest.mark.parametrize("word", [True, False])
def test_a_run_that_goes_on_crashing_is_a_failure(word: bool, study: Any, tmp_path: Path) -> None:
    executor = Crashes(3, word=word)
    result, _ = run(study(), executor)
    assert executor.names == ["full-0", "lora-0", "lora-0", "lora-0"]
    failed = result.runs[1]
    assert failed.status == "failed" and failed.reason.startswith("CUDA out of memory") and len(failed.attempts) == 2
    record = RunRecord.read(tmp_path / "study" / "lora-0")
    assert (record.status, record.method, record.seed) == ("failed", "lora", 0)
    assert "CUDA out of memory" in result.failures() and "more of it" not in result.failures()


def test_other_failures_are_not_tried_again(study: Any) -> None:
    executor = Pretend(ends={"lora-0": Outcome("no such layer")})
    run(study(), executor)
    assert executor.names == ["full-0", "lora-0"]


def test_a_trained_run_that_cannot_be_measured_stays_trained(study: Any, tmp_path: Path) -> None:
    first, _ = run(study(), Pretend())
    failing = Pretend(ends={name: Outcome("gone.json does not exist") for name in ("full-0", "lora-0")})
    told, _ = run(study(also_evaluate=("gone.json",)), failing)
    assert failing.names == ["full-0", "lora-0"] and told.records == first.records
    assert "full-0: gone.json does not exist" in told.failures()
    run(study(), calm := Pretend())
    assert calm.names == []


def test_points_of_a_sweep_are_tried_again_too(study: Any) -> None:
    result, _ = run(study(methods=("lora",), sweep=("learning-rate",)), Crashes(1))
    assert [len(one.attempts) for one in result.sweeps[0].points] == [1, 0, 0]


@pytest.mark.parametrize(
    ("error", "crashed"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory of the past"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, crashed: bool) -> None:
    assert _failed(error).crashed is crashed


def test_what_other_runs_share() -> None:
    """A run's outcome says whether others would fail as it did."""
    found = [_failed(error).shared for error in (DataError("no file"), EncoderError("none"), RunError("full"))]
    assert found == ["study", "encoder", None]


def test_places_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    _take(Place(2, 3))
    assert (threads, os.environ["CUDA_VISIBLE_DEVICES"]) == ([2], "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    _take(Place())
    assert threads == [2] and "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_record_of_a_run_on_which_another_process_works_is_left_to_it(study: Any, tmp_path: Path) -> None:
    class Meanwhile(Pretend):
        def carry_out(self, config: TrainConfig) -> Outcome:
            if config.method == "lora":
                another.enter_context(locked(folder.lock, "", where=folder.path, fix=""))
                replace(made_up(resolve(config), 0.0), status="running").write(folder.path)
                return Outcome("another process works in this run folder")
            return super().carry_out(config)

    folder = RunFolder(tmp_path / "study" / "lora-0")
    with ExitStack() as another:
        result, _ = run(study(), Meanwhile())
        assert result.runs[1].status == "failed" and RunRecord.read(folder.path).status == "running"
