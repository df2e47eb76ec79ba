"""`kill -9` on a whole study, at moments that nobody chose: it goes on and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import InProcess
from tiny import history, same_weights, squad, write

from spantune.studies import StudyRecord, compare

PATIENCE_SECONDS = 120


def start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The command line in a process group of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "spantune", "compare", *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def records_in(study: Path) -> set[Path]:
    """Of final runs and of points; deeper folders, such as those of checkpoints, may vanish while they are searched."""
    return {*study.glob("*/record.json"), *study.glob("sweep/*/record.json")}


def kill_somewhere(process: subprocess.Popen[bytes], study: Path, chance: random.Random) -> None:
    """As soon as a run beyond those that were there has begun, and a while later, kill all of its processes."""
    begun, end = records_in(study), time.monotonic() + PATIENCE_SECONDS
    while records_in(study) == begun:
        assert process.poll() is None and time.monotonic() < end, "no run was begun"
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 4))
    assert process.poll() is None, "the study was over before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX's")
def test_a_study_that_was_killed_twice_is_the_undisturbed_one(study: Any, tmp_path: Path, no_plots: None) -> None:
    data = write(tmp_path / "long.json", squad(120, seed=3))
    config = study(
        methods=("full", "bitfit"),
        seeds=(0, 1),
        data=(data,),
        epochs=4,
        checkpoint_seconds=0.1,
        selection_fraction=0.1,
        sweep=("learning-rate",),
        grid=("learning-rate=1e-3,3e-3",),
        sweep_examples=80,
        sweep_extend=1,
    )
    undisturbed = compare(config, lambda text: None, InProcess())

    killed = tmp_path / "killed"
    file = tmp_path / "study.yaml"
    import yaml

    settings = {**replace(config, output=str(killed)).as_dict()}
    file.write_text(yaml.safe_dump({key: value for key, value in settings.items() if key != "seed"}))
    words, log, seed = ["--config", str(file)], tmp_path / "log", random.randrange(10**6)
    print(f"the chance of this run: {seed}")
    chance = random.Random(seed)
    for _ in range(2):
        kill_somewhere(start(words, log), killed, chance)
    last = start(words, log)
    assert last.wait(PATIENCE_SECONDS) == 0, log.read_text()

    result = StudyRecord.read(killed)
    assert result.sweeps == undisturbed.sweeps and result.status == "finished"
    assert [(one.folder, one.status, one.values) for one in result.runs] == [
        (one.folder, one.status, one.values) for one in undisturbed.runs
    ]
    for one, other in zip(undisturbed.folders, result.folders, strict=True):
        assert same_weights(one.path, other.path), other.path.name
        assert history(one.path) == history(other.path), other.path.name
    for first, second in zip(undisturbed.records, result.records, strict=True):
        assert (first.metrics, first.data, first.best, first.steps) == (
            *(second.metrics, second.data, second.best, second.steps),
        )
