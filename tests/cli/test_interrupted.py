"""The command line in a process of its own, stopped by its user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tiny import squad, write

from spantune.runs import RunRecord

PATIENCE_SECONDS = 90


def command(*words: str) -> subprocess.Popen[str]:
    """The command line as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "spantune", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def test_ctrl_c(bert: str, tmp_path: Path) -> None:
    data, output = write(tmp_path / "long.json", squad(100, seed=3)), tmp_path / "run"
    words = (
        *("train", "--model", bert, "--data", data, "--output", output, "--no-mlflow", "--method", "full"),
        *("--max-length", "48", "--doc-stride", "12", "--batch-size", "8", "--epochs", "50"),
        *("--checkpoint-seconds", "0.1"),
    )
    process = command(*words)
    end = time.monotonic() + PATIENCE_SECONDS
    while not list(output.glob("checkpoints/checkpoint-*/trainer_state.json")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130 and "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("interrupted; resume with: spantune train ") and last.endswith(" --resume")
    record = RunRecord.read(output)
    assert record.status == "interrupted" and list(output.glob("checkpoints/checkpoint-*/trainer_state.json"))
