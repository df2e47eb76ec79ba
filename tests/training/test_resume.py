"""A run that was killed or stopped and goes on ends exactly as one that was not: metrics, weights and history."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from damage import DAMAGE as ALTERED
from damage import flip
from tiny import history, same_weights, squad, write

from spantune.config import TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.runs import History, RunFolder, RunRecord
from spantune.studies.worker_process import RunProcess
from spantune.training import train
from spantune.training.callbacks import GracefulStop
from spantune.training.checkpoints import last_checkpoint, whole_or_gone

pytestmark = pytest.mark.usefixtures("no_plots")
PATIENCE_SECONDS = 60
# About 215 steps, so that the log is a mean over two of them.
LONG: dict[str, Any] = {"epochs": 5, "batch_size": 4, "dropout": 0.1, "evals_per_epoch": 2, "selection_fraction": 0.1}
SHORT: dict[str, Any] = {"epochs": 3, "dropout": 0.1, "evals_per_epoch": 2}


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("data") / "long.json", squad(95, seed=3))


@pytest.fixture
def long(config: Any, long_file: str) -> Callable[..., TrainConfig]:
    return lambda name, **changes: config(name, data=(long_file,), **LONG, **changes)


@pytest.fixture(scope="module")
def whole(settings: dict[str, Any], long_file: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run that nothing stopped: `short`, or by method a long one."""
    folder = tmp_path_factory.mktemp("whole")

    def run(name: str) -> Path:
        if not (folder / name).exists():
            kind = SHORT if name == "short" else {**LONG, "data": (long_file,), "method": name}
            train(TrainConfig(**{**settings, **kind, "output": str(folder / name)}))
        return folder / name

    return run


def started(config: TrainConfig) -> BaseProcess:
    """The run in a process of its own, as `compare` starts it."""
    return RunProcess(config).process


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


@pytest.mark.parametrize("method", [pytest.param("full", marks=pytest.mark.slow), "lora"])
def test_killed_and_interrupted_in_mid_epoch(
    method: str, long: Callable[..., TrainConfig], whole: Any, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    settings = long("stopped", method=method, checkpoint_seconds=0.2)
    process = started(settings)
    wait_for_checkpoint(process, stopped)
    assert kill(process) == -signal.SIGKILL
    assert RunRecord.read(stopped).status == "died", "a killed process has no last word"
    first = checkpoint_step(stopped)

    again = long("stopped", method=method, checkpoint_seconds=0.2, resume=True)
    process = started(again)
    wait_for_checkpoint(process, stopped, after=first)
    assert kill(process, signal.SIGINT) == 130
    record = RunRecord.read(stopped)
    assert record.status == "interrupted" and "--resume" in record.reason
    assert record.timings.wall_seconds > 0 and record.finished_at is not None
    assert not (stopped / "adapter").exists()
    second = checkpoint_step(stopped)
    assert 0 < first < second < RunRecord.read(whole(method)).steps

    record = train(long("stopped", method=method, resume=True))
    assert record.resumed == 2
    assert_same_end(whole(method), stopped)
    assert not (stopped / "checkpoints").exists()


@pytest.mark.parametrize("step", [8, 24, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (1, 7, 9, 16))])
def test_stopped_at_any_step(
    step: int, config: Any, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In mid-epoch, where an evaluation is due, at the end of an epoch, at the last step."""
    with monkeypatch.context() as patched:
        real = GracefulStop.on_step_end

        def stop(self: GracefulStop, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            self.asked = state.global_step == step
            return real(self, args, state, control, **rest)

        patched.setattr(GracefulStop, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config("stopped", **SHORT))
    assert RunRecord.read(tmp_path / "stopped").status == "interrupted"
    assert checkpoint_step(tmp_path / "stopped") == step
    train(config("stopped", **SHORT, resume=True))
    assert_same_end(whole("short"), tmp_path / "stopped")


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


def test_a_failed_run_goes_on_too(config: Any, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at({6}, monkeypatch)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        train(config("failed", **SHORT))
    record = RunRecord.read(tmp_path / "failed")
    assert record.status == "failed" and record.reason == "RuntimeError: the machine is gone"
    assert checkpoint_step(tmp_path / "failed") == 5
    train(config("failed", **SHORT, resume=True))
    assert_same_end(whole("short"), tmp_path / "failed")


def test_torn_checkpoints_are_passed_over(
    config: Any, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "torn"
    with monkeypatch.context() as patched:
        stop_at({6}, patched)
        with pytest.raises(RuntimeError):
            train(config("torn", **SHORT))
    for step, content in ((7, None), (8, ""), (9, '{"global_step": 9, "log_hi')):
        torn = run / "checkpoints" / f"checkpoint-{step}"
        shutil.copytree(run / "checkpoints" / "checkpoint-5", torn)
        (torn / "trainer_state.json").unlink()
        if content is not None:
            (torn / "trainer_state.json").write_text(content)
    train(config("torn", **SHORT, resume=True))
    assert_same_end(whole("short"), run)


def test_a_run_killed_before_its_first_checkpoint_begins_again(config: Any, whole: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "killed")
    run.path.mkdir()
    content = {**RunRecord.read(whole("short")).to_json(), "status": "running", "metrics": {}}
    run.record.write_text(json.dumps(content | {"config": content["config"] | {"output": str(run.path)}}))
    History(run.history).append(step=3, epoch=0.4, loss=2.0)
    train(config("killed", **SHORT, resume=True))
    assert_same_end(whole("short"), run.path)


def test_another_configuration_is_refused_and_changes_nothing(
    config: Any, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at({6}, patched)
        with pytest.raises(RuntimeError):
            train(config("run"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"learning-rate: 0\.003 then, 0\.001 now") as raised:
        train(config("run", batch_size=4, learning_rate=1e-3, resume=True))
    assert "batch-size: 8 then, 4 now" in str(raised.value)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    train(config("run", resume=True, checkpoint_seconds=1.0, keep_checkpoints=True))
    assert (tmp_path / "run" / "checkpoints").is_dir(), "what changes no number may change"


def test_checkpoints_hold_what_learns_and_no_more(
    config: Any, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at({5}, monkeypatch)
    with pytest.raises(RuntimeError):
        train(config("run", method="lora"))
    run = RunFolder(tmp_path / "run")
    before, kept = sorted(run.checkpoints.iterdir())
    assert (before.name, kept.name) == ("checkpoint-3", "checkpoint-4"), "the newest, and one should it be damaged"
    assert (kept / "trainable.safetensors").stat().st_size < Path(f"{config().model}/model.safetensors").stat().st_size
    assert last_checkpoint(run, History(run.history)) == str(kept)
    assert max(row["step"] for row in history(run.path)) == 4


DAMAGE = {**ALTERED, "gone": Path.unlink}


@pytest.fixture(scope="module")
def stopped(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that failed in its seventh step: two checkpoints, of the fifth and the sixth."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("spantune.training.run.run_plots", lambda folder: [])
        stop_at({7}, patched)
        with pytest.raises(RuntimeError):
            train(TrainConfig(**{**settings, **SHORT, "checkpoint_seconds": 0, "output": str(folder)}))
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["checkpoint-5", "checkpoint-6"]
    return folder


@pytest.mark.parametrize("how", DAMAGE)
def test_any_damaged_file_of_a_checkpoint_is_named_and_passed_over(how: str, stopped: Path, tmp_path: Path) -> None:
    for file in sorted(stopped.glob("checkpoints/checkpoint-6/*")):
        run = RunFolder(Path(shutil.copytree(stopped, tmp_path / file.name)))
        damaged = run.checkpoints / "checkpoint-6" / file.name
        DAMAGE[how](damaged)
        if how == "gone" and file.name == "digests.json":  # the others are whole
            assert last_checkpoint(run, History(run.history)) == str(damaged.parent)
            continue
        with pytest.warns(UserWarning, match="a checkpoint is damaged and passed over") as said:
            assert last_checkpoint(run, History(run.history)) == str(run.checkpoints / "checkpoint-5")
        assert str(damaged) in str(said[0].message) and len(said) == 1


def test_the_run_goes_on_from_the_one_before(stopped: Path, config: Any, whole: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    flip(run / "checkpoints" / "checkpoint-6" / "optimizer.pt")
    with pytest.warns(UserWarning, match=r"optimizer\.pt is not as it was written"):
        train(config("run", **SHORT, resume=True))
    assert_same_end(whole("short"), run)


def test_without_a_whole_checkpoint_the_run_starts_again_and_says_so(stopped: Path, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(stopped, tmp_path / "run")))
    for checkpoint in run.checkpoints.iterdir():
        (checkpoint / "optimizer.pt").unlink()
    with pytest.warns(UserWarning, match="no whole checkpoint is left"):
        assert last_checkpoint(run, History(run.history)) is None


def test_a_checkpoint_dated_tomorrow_is_no_newer(
    stopped: Path, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    tomorrow = time.time() + 86400
    os.utime(run / "checkpoints" / "checkpoint-5", (tomorrow, tomorrow))
    stop_at({9}, monkeypatch)
    with pytest.raises(RuntimeError):
        train(config("run", **SHORT, checkpoint_seconds=0, resume=True))
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["checkpoint-7", "checkpoint-8"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunError, MemoryError])
def test_what_is_written_when_a_signal_arrives_is_removed(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), whole_or_gone(tmp_path / "made"):
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "half").write_bytes(b"half")
        raise error("now")
    assert not list(tmp_path.iterdir())
