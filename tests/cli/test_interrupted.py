"""The command line in a process of its own (a fork: torch is imported already), stopped by its user."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tiny import squad, write

from spantune.cli.main import main
from spantune.runs import RunRecord

PATIENCE_SECONDS = 90


def _in_the_fork(words: tuple[str, ...], out: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    with out.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = main(list(words))
    os._exit(code)


def _long_run(bert: str, tmp_path: Path) -> list[str]:
    data = write(tmp_path / "long.json", squad(100, seed=3))
    return [
        *("train", "--model", bert, "--data", data, "--output", str(tmp_path / "run"), "--no-mlflow"),
        *("--method", "full", "--max-length", "48", "--doc-stride", "12", "--batch-size", "8", "--epochs", "50"),
        *("--checkpoint-seconds", "0.1"),
    ]


def _started(words: list[str], printed: Path) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=_in_the_fork, args=(tuple(words), printed))
    process.start()
    return process


def _wait_for(there: Callable[[], object], process: BaseProcess, printed: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not there() and time.monotonic() < end:
        assert process.is_alive(), printed.read_text(encoding="utf-8")
        time.sleep(0.01)
    assert there()


def _checkpoints(run: Path) -> list[Path]:
    return list(run.glob("checkpoints/checkpoint-*/trainer_state.json"))


def test_ctrl_c(bert: str, tmp_path: Path) -> None:
    output, printed = tmp_path / "run", tmp_path / "printed.txt"
    process = _started(_long_run(bert, tmp_path), printed)
    _wait_for(lambda: _checkpoints(output), process, printed)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE_SECONDS)
    err = printed.read_text(encoding="utf-8")
    assert process.exitcode == 130 and "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("interrupted; resume with: spantune train ") and last.endswith(" --resume")
    record = RunRecord.read(output)
    assert record.status == "interrupted" and _checkpoints(output)


def test_a_second_run_in_the_same_folder(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused at once, whatever it wants to do with the folder, and the first goes on."""
    words, output, printed = _long_run(bert, tmp_path), tmp_path / "run", tmp_path / "printed.txt"
    process = _started(words, printed)
    try:
        _wait_for(lambda: _checkpoints(output), process, printed)
        for flags in ([], ["--resume"], ["--overwrite"]):
            assert main([*words, *flags]) == 2
            err = capsys.readouterr().err
            assert f"works in this run folder\n  where:    {output}" in err
            assert f"found:    process {process.pid} on " in err and ", since 20" in err and "--output" in err
        lines = len((output / "history.jsonl").read_text(encoding="utf-8").splitlines())
        _wait_for(
            lambda: len((output / "history.jsonl").read_text(encoding="utf-8").splitlines()) > lines, process, printed
        )
        assert RunRecord.read(output).status == "running"
    finally:
        process.kill()
        process.join(PATIENCE_SECONDS)
    assert main([*words[:-4], "--epochs", "0.1", "--overwrite"]) == 0, "a killed process keeps nobody out"
    assert not list(output.glob(".spantune-*"))
