"""A run in two processes is the run in one: what it learns, who writes, and how it stops."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from hypothesis import given
from hypothesis import strategies as st
from tiny import history, weights

from spantune.answering.batches import LengthBatches
from spantune.cli.main import main
from spantune.config import TrainConfig
from spantune.runs import RunRecord
from spantune.training import distributed, train

LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"],
    "accelerate": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"],
}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 9), st.integers(2, 5), st.integers(0, 3))
def test_shares_make_up_each_batch(lengths: list[int], batch_size: int, count: int, epoch: int) -> None:
    whole = LengthBatches(lengths, batch_size, seed=0)
    shares = [distributed.Share(LengthBatches(lengths, batch_size, seed=0), rank, count) for rank in range(count)]
    for one in (whole, *shares):
        one.set_epoch(epoch)
    per_process = [list(share) for share in shares]
    assert {len(batches) for batches in per_process} == {len(whole)} == {len(share) for share in shares}
    for batch, parts in zip(whole, zip(*per_process, strict=True), strict=True):
        assert all(parts)  # none may be without a row, or the others would wait for its gradient
        assert sorted(row for part in parts for row in part if row >= 0) == sorted(batch)
        assert max(len(part) for part in parts) - min(len([r for r in part if r >= 0]) for part in parts) <= 1


def test_a_row_that_stands_in_says_so() -> None:
    rows = distributed.CountedRows([{"length": 3}, {"length": 5}])
    assert rows.__getitems__([1, ~0]) == [{"length": 5}, {"length": 3, "stands_in": True}]


def _launched(launcher: str, settings: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    file = _configuration(settings, folder)
    port = [] if launcher == "torchrun" else ["--main_process_port", str(_free_port())]
    command = [sys.executable, *LAUNCHERS[launcher], *port, "-m", "spantune", "train", "--config", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def _as_launched(rank: int, port: int, file: Path, said: Path) -> None:
    """What torchrun sets for each process, then the command."""
    AcceleratorState._reset_state(reset_partial_state=True)  # the parent has trained, in one process
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with said.open("a", encoding="utf-8") as file_of_both, redirect_stdout(file_of_both), redirect_stderr(file_of_both):
        code = main(["train", "--config", str(file)])
    os._exit(code)  # the test process's own exit handlers are not this one's


def _forked(settings: dict[str, Any], folder: Path) -> tuple[int, str]:
    """Exit code and output of two forks of this process: torch is imported already, so each costs a second, not six."""
    file, said, port = _configuration(settings, folder), folder.parent / "said.txt", _free_port()
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_as_launched, args=(rank, port, file, said)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    return max(abs(process.exitcode or 0) for process in both), said.read_text(encoding="utf-8")


def _configuration(settings: dict[str, Any], folder: Path) -> Path:
    file = folder.parent / f"{folder.name}.yaml"
    lines = {**settings, "output": str(folder)}
    file.write_text("\n".join(f"{key}: {_yaml(value)}" for key, value in lines.items()), encoding="utf-8")
    return file


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _yaml(value: Any) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, (list, tuple)) else str(value).lower() if (
        isinstance(value, bool)
    ) else str(value)  # fmt: skip


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What differs from the defaults."""
    plain = TrainConfig()
    found = {key: value for key, value in config.as_dict().items() if value != getattr(plain, key)}
    return {key: value for key, value in found.items() if key not in ("output", "options")}


@pytest.mark.parametrize(
    "launcher", ["forked", *(pytest.param(launcher, marks=pytest.mark.slow) for launcher in LAUNCHERS)]
)
def test_two_processes_learn_what_one_learns(launcher: str, config: Any, tmp_path: Path, no_plots: None) -> None:
    """The last batch of 61 windows has 5, and with batches of 12 it has one: a process then has none of its own."""
    shared = config("alone", max_train_examples=61, batch_size=12, epochs=6)
    alone = train(shared)
    if launcher == "forked":
        code, said = _forked(_settings(shared), tmp_path / "both")
    else:
        launched = _launched(launcher, _settings(shared), tmp_path / "both")
        said, _ = launched.communicate(timeout=240)
        code = launched.returncode
    assert code == 0, said
    both = RunRecord.read(tmp_path / "both")
    assert both.status == "finished" and both.steps == alone.steps
    assert "trained in 2 processes" in both.notes
    for scored_on in ("selection", "reported"):
        for name in ("em", "f1"):
            assert both.metrics[scored_on][name] == pytest.approx(alone.metrics[scored_on][name], abs=5)
    assert alone.metrics["reported"]["f1"] > 50
    for column, tolerance in (("loss", 1e-3), ("grad_norm", 1e-2)):
        wanted, found = ([row[column] for row in history(tmp_path / run) if column in row] for run in ("alone", "both"))
        assert found == pytest.approx(wanted, rel=tolerance, abs=1e-4), column
    assert said.count("run folder:") == 1  # one of the two speaks
    first, second = weights(tmp_path / "alone"), weights(tmp_path / "both")
    apart = np.concatenate([(first[name] - second[name]).abs().flatten().numpy() > 1e-3 for name in first])
    assert apart.mean() < 0.02  # where a gradient is rounding noise, Adam blows it up


@pytest.mark.slow
def test_all_stop_together_and_go_on(config: Any, tmp_path: Path) -> None:
    shared = config("alone", max_train_examples=60, epochs=15, schedule="constant")
    launched = _launched("torchrun", _settings(shared), tmp_path / "both")
    end = time.monotonic() + 120
    while not (tmp_path / "both" / "history.jsonl").exists() and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(launched.pid, signal.SIGTERM)
    said, _ = launched.communicate(timeout=120)
    record = RunRecord.read(tmp_path / "both")
    assert record.status == "interrupted", said
    assert list((tmp_path / "both" / "checkpoints").glob("checkpoint-*")), said
    again = _launched("torchrun", {**_settings(shared), "resume": True}, tmp_path / "both")
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 0, said
    assert RunRecord.read(tmp_path / "both").resumed == 1
