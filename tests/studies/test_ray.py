"""Runs on a Ray cluster: what comes back, and what is said where there is none."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import same_weights, squad, write

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.runs import RunRecord
from spantune.studies import StudyRecord, compare, ray_executor
from spantune.studies.ray_executor import RayExecutor


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"spantune\[ray\]"):
        RayExecutor(tmp_path, "auto", cpus=1, gpus=0)


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    began = time.monotonic()
    with pytest.raises(RunError, match="Ray cannot be reached"):
        RayExecutor(tmp_path, f"127.0.0.1:{_free_port()}", cpus=1, gpus=0)
    assert time.monotonic() - began < 30


def test_a_folder_travels_in_one_piece(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    (run / "checkpoints" / "checkpoint-3" / "a.bin").write_bytes(b"\0\1")
    (run / "record.json").write_text("{}")
    packed = ray_executor._packed(run)
    assert packed is not None and ray_executor._packed(tmp_path / "none") is None
    ray_executor._unpack(packed, tmp_path / "there")
    found = {str(path.relative_to(tmp_path / "there")): path for path in (tmp_path / "there").rglob("*")}
    assert found["checkpoints/checkpoint-3/a.bin"].read_bytes() == b"\0\1" and found["record.json"].read_text() == "{}"


def test_a_folder_that_comes_back_leaves_nothing_of_an_earlier_run(tmp_path: Path) -> None:
    made, folder = tmp_path / "made", tmp_path / "study" / "lora-0"
    for path in (made / "checkpoints" / "checkpoint-3", folder / "checkpoints" / "checkpoint-9"):
        path.mkdir(parents=True)
    (folder / "evaluations.json").write_text("{}")
    packed = ray_executor._packed(made)
    assert packed is not None
    ray_executor._unpack(packed, folder)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == [
        "checkpoints",
        "checkpoints/checkpoint-3",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["lora-0"]
    with pytest.raises(tarfile.TarError):
        ray_executor._unpack(packed[:100], folder)
    assert (folder / "checkpoints" / "checkpoint-3").is_dir(), "what was whole stays"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A head without CPUs and two workers with one each, on this machine."""
    pytest.importorskip("ray")
    command, port = [str(Path(sys.executable).parent / "ray")], _free_port()
    patched = pytest.MonkeyPatch()
    patched.setenv("RAY_AUTH_MODE", "disabled")  # Ray begins to ask for tokens once the machine has one
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "env": environment}
    head = ["--head", "--port", str(port), "--num-cpus", "0", "--include-dashboard=false", "--disable-usage-stats"]
    subprocess.run([*command, "start", *head], **quiet)
    try:
        for _ in range(2):
            subprocess.run([*command, "start", "--address", f"127.0.0.1:{port}", "--num-cpus", "1"], **quiet)
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run([*command, "stop", "--force"], **quiet)
        patched.undo()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_bring_the_records_back(
    cluster: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a worker that does not see the study folder, a run that fails, and one that is stopped."""
    executor = RayExecutor(tmp_path, cluster, cpus=1, gpus=0)
    assert executor.workers == 2

    def job(name: str, **changes: Any) -> tuple[str, TrainConfig]:
        return name, TrainConfig(**{**settings, "output": str(tmp_path / name), **changes})

    executor.submit(*job("seen"))
    executor.submit(*job("broken", data=(str(tmp_path / "none.json"),)))
    outcomes: dict[str, Any] = dict(executor.wait() for _ in range(2))
    assert outcomes["seen"].reason is None and "none.json" in outcomes["broken"].reason
    assert RunRecord.read(tmp_path / "seen").status == "finished"
    executor._token = tmp_path / "nobody sees this"
    executor.submit(*job("unseen"))
    assert executor.wait()[1].reason is None
    assert RunRecord.read(tmp_path / "unseen").metrics == RunRecord.read(tmp_path / "seen").metrics
    executor.submit(*job("long", epochs=600))
    time.sleep(30)  # its folder is the worker's own, so that nothing of it is to be seen here
    executor.close()
    stopped = RunRecord.read(tmp_path / "long")
    assert stopped.status == "interrupted" and list((tmp_path / "long" / "checkpoints").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_that_is_killed_goes_on_and_ends_as_an_undisturbed_one(
    cluster: str, study: Any, tmp_path: Path
) -> None:
    def config(name: str) -> CompareConfig:
        data = write(tmp_path / "long.json", squad(150, seed=3))
        ray = {"executor": "ray", "ray_address": cluster, "output": str(tmp_path / name)}
        return study(data=(data,), epochs=2, selection_fraction=0.1, checkpoint_seconds=0.2, **ray)

    killed = multiprocessing.get_context("spawn").Process(target=compare, args=(config("killed"),))
    killed.start()
    end = time.monotonic() + 200
    while not list((tmp_path / "killed" / "full-0").glob("checkpoints/checkpoint-*/trainer_state.json")):
        assert time.monotonic() < end and killed.is_alive(), "no checkpoint was written"
        time.sleep(0.05)
    killed.kill()
    killed.join()
    assert StudyRecord.read(tmp_path / "killed").status == "died"
    said: list[str] = []
    resumed, undisturbed = compare(config("killed"), said.append), compare(config("whole"), said.append)
    assert any("full, seed 0: resume (interrupted before)" in line for line in said)
    assert [one.metrics for one in resumed.records] == [one.metrics for one in undisturbed.records]
    for one in ("full-0", "lora-0"):
        assert same_weights(tmp_path / "killed" / one, tmp_path / "whole" / one)


@pytest.mark.slow
def test_more_than_a_machine_has_is_refused(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="as much as a run asks for"):
        RayExecutor(tmp_path, cluster, cpus=64, gpus=0)
