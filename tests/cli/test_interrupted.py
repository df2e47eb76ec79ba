"""The command line in a process of its own (a fork: torch is imported already), stopped by its user."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from tiny import squad, write

from spantune.cli.main import main
from spantune.runs import RunFolder, RunRecord

PATIENCE_SECONDS = 90
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def _in_the_fork(words: tuple[str, ...], out: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
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


def _stopped(process: BaseProcess, number: int | None, printed: Path, code: int | None = None) -> str:
    """What is on standard error once the process has ended by the signal, which may have come from itself."""
    if number is not None:
        assert process.pid is not None
        os.kill(process.pid, number)
        code = CODES[signal.Signals(number)]
    process.join(PATIENCE_SECONDS)
    err = printed.read_text(encoding="utf-8")
    assert process.exitcode == code and "Traceback" not in err, err
    return err


def _checkpoints(run: Path) -> list[Path]:
    return list(run.glob("checkpoints/checkpoint-*/trainer_state.json"))


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_while_it_learns(number: signal.Signals, bert: str, tmp_path: Path) -> None:
    output, printed = tmp_path / "run", tmp_path / "printed.txt"
    process = _started(_long_run(bert, tmp_path), printed)
    _wait_for(lambda: _checkpoints(output), process, printed)
    err = _stopped(process, number, printed)
    last = err.strip().splitlines()[-1]
    assert last.startswith("interrupted; resume with: spantune train ") and last.endswith(" --resume")
    record = RunRecord.read(output)
    assert record.status == "interrupted" and _checkpoints(output)
    assert not list(output.glob(".spantune-*"))


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("training.run.load_tokenizer", signal.SIGTERM),
        ("training.run.prepare", signal.SIGHUP),
        ("training.run.write_answers", signal.SIGTERM),
        ("training.run.measured", signal.SIGTERM),
        ("runs.atomic_files.os.fsync", signal.SIGHUP),
    ],
)
def test_a_signal_at_another_moment(
    place: str, number: signal.Signals, bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives as a function is called, before, between or after the steps."""
    output, printed, arrived = tmp_path / "run", tmp_path / "printed.txt", tmp_path / "arrived"
    module, _, name = f"spantune.{place}".rpartition(".")
    owner = os if module.endswith(".os") else importlib.import_module(module)
    before = getattr(owner, name)

    def arrives(*args: Any, **more: Any) -> Any:
        if not arrived.exists():
            arrived.touch()
            os.kill(os.getpid(), number)
        return before(*args, **more)

    data = write(tmp_path / "short.json", squad(20, seed=3))
    words = [
        *_long_run(bert, tmp_path)[:3],
        "--data",
        data,
        "--eval-data",
        data,
        "--output",
        str(output),
        "--no-mlflow",
    ]
    words += ["--method", "lora", "--max-length", "48", "--doc-stride", "12", "--epochs", "1"]
    monkeypatch.setattr(owner, name, arrives)
    process = _started([*words], printed)
    monkeypatch.undo()
    err = _stopped(process, None, printed, CODES[number])
    assert "interrupted; resume with" in err
    assert RunRecord.read(output).status == "interrupted" and not list(output.glob(".spantune-*"))
    assert main([*words, "--resume"]) == 0 and RunRecord.read(output).status == "finished"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_signal_while_it_answers(
    command: str, number: signal.Signals, finished: RunFolder, dev_file: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run, printed = Path(shutil.copytree(finished.path, tmp_path / "run")), tmp_path / "printed.txt"
    words = [command, str(run), "--data", dev_file]
    if command == "predict":
        words += ["--output", str(tmp_path / "out" / "p.json"), "--n-best-output", str(tmp_path / "out" / "n.json")]

    def arrives(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)
        time.sleep(PATIENCE_SECONDS)

    monkeypatch.setattr("spantune.answering.engine.batch_logits", arrives)
    process = _started(words, printed)
    monkeypatch.undo()
    _stopped(process, None, printed, CODES[number])
    assert not list(tmp_path.rglob(".spantune-*")) and not list(tmp_path.rglob("[pn].json"))
    assert RunRecord.read(run).status == "finished"


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
