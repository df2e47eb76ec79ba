"""A run that was killed or stopped and goes on ends exactly as one that was not: metrics, weights and history."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from tiny import history, same_weights, squad, write

from spantune.config import TrainConfig
from spantune.errors import ConfigError
from spantune.records import History, RunFolder, RunRecord
from spantune.studies.compare import _context, _work
from spantune.training import train
from spantune.training.callbacks import GracefulStop
from spantune.training.checkpoints import last_checkpoint

pytestmark = pytest.mark.usefixtures("no_plots")
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def processes() -> BaseContext:
    """Processes that start at once: what `compare` uses."""
    return _context()


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("data") / "long.json", squad(300, seed=3))


@pytest.fixture
def long(config: Any, long_file: str) -> Callable[..., TrainConfig]:
    """A run of about 280 steps (so that the log is a mean over two of them), with dropout."""
    shared = {"data": (long_file,), "epochs": 5, "dropout": 0.1, "evals_per_epoch": 2, "selection_fraction": 0.1}
    return lambda name, **changes: config(name, **{**shared, **changes})


def started(config: TrainConfig, processes: BaseContext) -> BaseProcess:
    process = processes.Process(target=_work, args=(config,))  # type: ignore[attr-defined]
    process.start()
    return process


def wait_for_checkpoint(process: BaseProcess, run: Path, *, after: int = 0) -> None:
    """Return as soon as a whole checkpoint of a step behind `after` is there."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not any(
        int(path.parent.name[11:]) > after for path in run.glob("checkpoints/checkpoint-*/trainer_state.json")
    ):
        assert process.is_alive(), f"the run ended before it could be stopped (exit code {process.exitcode})"
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.005)


def kill(process: BaseProcess, number: int = signal.SIGKILL) -> int | None:
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(PATIENCE_SECONDS)
    return process.exitcode


def checkpoint_step(run: Path) -> int:
    return max(int(path.name[11:]) for path in (run / "checkpoints").glob("checkpoint-*"))


def assert_same_end(one: Path, other: Path) -> None:
    first, second = RunRecord.read(one), RunRecord.read(other)
    assert first.status == second.status == "finished"
    assert first.metrics == second.metrics and first.best == second.best and first.steps == second.steps
    assert history(one) == history(other)
    assert same_weights(one, other)
    for name in ("predictions.json", "n_best.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_killed_twice_in_mid_epoch(
    method: str, long: Callable[..., TrainConfig], processes: BaseContext, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    train(long("whole", method=method))
    settings = long("killed", method=method, checkpoint_seconds=0.2)
    process = started(settings, processes)
    wait_for_checkpoint(process, killed)
    assert kill(process) == -signal.SIGKILL
    assert RunRecord.read(killed).status == "running", "a killed process has no last word"
    first = checkpoint_step(killed)

    again = long("killed", method=method, checkpoint_seconds=0.2, resume=True)
    process = started(again, processes)
    wait_for_checkpoint(process, killed, after=first)
    assert kill(process) == -signal.SIGKILL
    second = checkpoint_step(killed)
    assert 0 < first < second < RunRecord.read(tmp_path / "whole").steps

    record = train(again)
    assert record.resumed == 2
    assert_same_end(tmp_path / "whole", killed)
    assert not (killed / "checkpoints").exists()


def test_interrupted_by_ctrl_c(long: Callable[..., TrainConfig], processes: BaseContext, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    train(long("whole"))
    process = started(long("stopped", checkpoint_seconds=0.1), processes)
    wait_for_checkpoint(process, stopped)
    assert kill(process, signal.SIGINT) == 130
    record = RunRecord.read(stopped)
    assert record.status == "interrupted" and "--resume" in record.reason
    assert record.timings.wall_seconds > 0 and record.finished_at is not None
    assert not (stopped / "adapter").exists()
    train(long("stopped", resume=True))
    assert_same_end(tmp_path / "whole", stopped)


@pytest.mark.parametrize("step", [1, 7, 8, 9, 16, 24])
def test_stopped_at_any_step(step: int, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In mid-epoch, where an evaluation is due, at the end of an epoch, at the last step."""
    shared = {"epochs": 3, "evals_per_epoch": 2, "dropout": 0.1}
    if not (tmp_path / "whole").exists():
        train(config("whole", **shared))
    with monkeypatch.context() as patched:
        real = GracefulStop.on_step_end

        def stop(self: GracefulStop, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            self.asked = state.global_step == step
            return real(self, args, state, control, **rest)

        patched.setattr(GracefulStop, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config("stopped", **shared))
    assert RunRecord.read(tmp_path / "stopped").status == "interrupted"
    assert checkpoint_step(tmp_path / "stopped") == step
    train(config("stopped", **shared, resume=True))
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")


def stop_at(steps: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail behind these steps, once each, with a checkpoint of the step before and none of them."""
    left = set(steps)
    real = GracefulStop.on_step_end

    def fail(self: GracefulStop, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        if state.global_step in left:
            left.discard(state.global_step)
            raise RuntimeError("the machine is gone")
        control.should_save = True
        return real(self, args, state, control, **rest)

    monkeypatch.setattr(GracefulStop, "on_step_end", fail)


def test_a_failed_run_goes_on_too(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config("whole"))
    stop_at({6, 12}, monkeypatch)
    for expected in (5, 11):
        with pytest.raises(RuntimeError, match="the machine is gone"):
            train(config("failed", resume=True))
        record = RunRecord.read(tmp_path / "failed")
        assert record.status == "failed" and record.reason == "RuntimeError: the machine is gone"
        assert checkpoint_step(tmp_path / "failed") == expected
    train(config("failed", resume=True))
    assert_same_end(tmp_path / "whole", tmp_path / "failed")


def test_torn_checkpoints_are_passed_over(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config("whole"))
    run = tmp_path / "torn"
    with monkeypatch.context() as patched:
        stop_at({6}, patched)
        with pytest.raises(RuntimeError):
            train(config("torn"))
    for step, content in ((7, None), (8, ""), (9, '{"global_step": 9, "log_hi')):
        torn = run / "checkpoints" / f"checkpoint-{step}"
        shutil.copytree(run / "checkpoints" / "checkpoint-5", torn)
        (torn / "trainer_state.json").unlink()
        if content is not None:
            (torn / "trainer_state.json").write_text(content)
    train(config("torn", resume=True))
    assert_same_end(tmp_path / "whole", run)


def test_a_run_killed_before_its_first_checkpoint_begins_again(config: Any, tmp_path: Path) -> None:
    train(config("whole"))
    run = RunFolder(tmp_path / "killed")
    run.path.mkdir()
    whole = RunRecord.read(tmp_path / "whole")
    content = {**whole.to_json(), "status": "running", "metrics": {}}
    run.record.write_text(json.dumps(content | {"config": content["config"] | {"output": str(run.path)}}))
    History(run.history).append(step=3, epoch=0.4, loss=2.0)
    train(config("killed", resume=True))
    assert_same_end(tmp_path / "whole", run.path)


def test_another_configuration_is_refused_and_changes_nothing(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at({6}, patched)
        with pytest.raises(RuntimeError):
            train(config("run"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"batch-size: 8 then, 4 now\n  learning-rate: 0.003 then, 0.001 now"):
        train(config("run", batch_size=4, learning_rate=1e-3, resume=True))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    train(config("run", resume=True, checkpoint_seconds=1.0, keep_checkpoints=True))
    assert (tmp_path / "run" / "checkpoints").is_dir(), "what changes no number may change"


def test_checkpoints_hold_what_learns_and_no_more(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at({5}, monkeypatch)
    with pytest.raises(RuntimeError):
        train(config("run", method="lora"))
    run = RunFolder(tmp_path / "run")
    (kept,) = run.checkpoints.iterdir()
    assert (kept / "trainable.safetensors").stat().st_size < Path(f"{config().model}/model.safetensors").stat().st_size
    assert last_checkpoint(run, History(run.history)) == str(kept)
    assert max(row["step"] for row in history(run.path)) == 4
