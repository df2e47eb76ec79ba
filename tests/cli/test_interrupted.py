"""The command line in a process of its own (a fork: torch is imported already), stopped by its user."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from tiny import squad, write

from spantune.cli.main import main
from spantune.runs import RunRecord

PATIENCE_SECONDS = 90


def _in_the_fork(words: tuple[str, ...], out: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    with out.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = main(list(words))
    os._exit(code)


def test_ctrl_c(bert: str, tmp_path: Path) -> None:
    data, output = write(tmp_path / "long.json", squad(100, seed=3)), tmp_path / "run"
    words = (
        *("train", "--model", bert, "--data", data, "--output", output, "--no-mlflow", "--method", "full"),
        *("--max-length", "48", "--doc-stride", "12", "--batch-size", "8", "--epochs", "50"),
        *("--checkpoint-seconds", "0.1"),
    )
    printed = tmp_path / "printed.txt"
    process = multiprocessing.get_context("fork").Process(target=_in_the_fork, args=(tuple(map(str, words)), printed))
    process.start()
    end = time.monotonic() + PATIENCE_SECONDS
    while not list(output.glob("checkpoints/checkpoint-*/trainer_state.json")) and time.monotonic() < end:
        assert process.is_alive(), printed.read_text(encoding="utf-8")
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE_SECONDS)
    err = printed.read_text(encoding="utf-8")
    assert process.exitcode == 130 and "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("interrupted; resume with: spantune train ") and last.endswith(" --resume")
    record = RunRecord.read(output)
    assert record.status == "interrupted" and list(output.glob("checkpoints/checkpoint-*/trainer_state.json"))
