"""A study that is asked to stop, by whatever signal and at whatever moment: what it leaves says so."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins import Pretend
from tiny import squad, write

from spantune.cli.main import main
from spantune.runs import RunRecord
from spantune.runs.interruption import STOP_SIGNALS
from spantune.studies import StudyRecord
from spantune.studies.record import STUDY_LOCK
from spantune.studies.report import report

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's"),
    pytest.mark.usefixtures("no_plots"),
    pytest.mark.timeout(300),
]
PATIENCE_SECONDS = 120
ROOM = importlib.import_module("spantune.studies.compare")  # the function has the same name
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def command(config: Any, file: Path) -> list[str]:
    settings = {key: value for key, value in config.as_dict().items() if key != "seed"}
    file.write_text(yaml.safe_dump(settings))
    return ["compare", "--config", str(file)]


def started(words: list[str], printed: Path, prepared: Callable[[], None] = lambda: None) -> BaseProcess:
    """The command line in a fork, in a process group of its own, with the signals of a terminal."""

    def work() -> None:
        os.setsid()
        forkserver._forkserver.__init__()  # type: ignore[misc]  # that of the parent is no child of this process
        for number in STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        prepared()
        with printed.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
            code = main(words)
        os._exit(code)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def wait_for(there: Callable[[], object], process: BaseProcess, printed: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not there() and time.monotonic() < end:
        assert process.is_alive(), printed.read_text(encoding="utf-8")
        time.sleep(0.01)
    assert there(), printed.read_text(encoding="utf-8")


def nothing_is_left(study: Path) -> None:
    assert not list(study.rglob(".spantune-*")) and not (study / STUDY_LOCK).exists()


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["between two runs", "in a run", "before the first"])
def test_a_study_is_stopped(
    moment: str, number: signal.Signals, study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, printed, folder = tmp_path / "there", tmp_path / "printed", tmp_path / "study"

    def wait(*_: Any) -> None:
        there.touch()
        time.sleep(PATIENCE_SECONDS)

    def prepared() -> None:
        class Executor(Pretend):
            def carry_out(self, config: Any) -> Any:
                if config.method == "lora" and moment == "in a run":
                    wait()
                return super().carry_out(config)

        monkeypatch.setattr(ROOM, "_executor", lambda config: Executor())
        if moment == "between two runs":
            monkeypatch.setattr(ROOM, "_write", wait)
        elif moment == "before the first":
            monkeypatch.setattr(ROOM, "_trackers", wait)

    process = started(command(study(), tmp_path / "study.yaml"), printed, prepared)
    wait_for(there.exists, process, printed)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(PATIENCE_SECONDS)
    err = printed.read_text(encoding="utf-8")
    assert process.exitcode == CODES[number] and "Traceback" not in err, err
    stopped = StudyRecord.read(folder)
    assert stopped.status == "interrupted" and stopped.reason and stopped.finished_at
    assert [one.status for one in stopped.runs] == {
        "between two runs": ["finished", "planned"],
        "in a run": ["finished", "interrupted"],
        "before the first": ["planned", "planned"],
    }[moment]
    nothing_is_left(folder)


@pytest.mark.parametrize("whole_group", [False, True], ids=["the study", "its group"])
def test_the_runs_of_a_stopped_study_are_stopped(whole_group: bool, study: Any, tmp_path: Path) -> None:
    """The study waits until they have written what they have to."""
    data, printed, folder = write(tmp_path / "long.json", squad(200, seed=3)), tmp_path / "printed", tmp_path / "study"
    config = study(methods=("full",), data=(data,), epochs=30, selection_fraction=0.05, checkpoint_seconds=0.1)
    words = command(config, tmp_path / "study.yaml")
    process = started(words, printed)
    wait_for(lambda: list(folder.glob("full-0/checkpoints/checkpoint-*/trainer_state.json")), process, printed)
    assert process.pid is not None
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGTERM)
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 143, printed.read_text(encoding="utf-8")
    assert RunRecord.read(folder / "full-0").status == "interrupted"
    stopped = StudyRecord.read(folder)
    assert stopped.status == "interrupted" and [one.status for one in stopped.runs] == ["interrupted"]
    nothing_is_left(folder)


def test_a_killed_study_is_shown_as_died_and_goes_on(
    study: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, printed, folder = tmp_path / "there", tmp_path / "printed", tmp_path / "study"

    def prepared() -> None:
        class Executor(Pretend):
            def carry_out(self, config: Any) -> Any:
                outcome = super().carry_out(config)
                if config.method == "lora":
                    replace(RunRecord.read(Path(config.output)), status="running").write(Path(config.output))
                    there.touch()
                    time.sleep(PATIENCE_SECONDS)
                return outcome

        monkeypatch.setattr(ROOM, "_executor", lambda config: Executor())

    words = command(study(), tmp_path / "study.yaml")
    process = started(words, printed, prepared)
    wait_for(there.exists, process, printed)
    assert StudyRecord.read(folder).status == "running"
    assert "the study died" not in report(folder).failures
    process.kill()
    process.join(PATIENCE_SECONDS)

    died = StudyRecord.read(folder)
    assert died.status == "died" and [one.status for one in died.runs] == ["finished", "died"]
    shown = report(folder)
    assert any("the study died" in line and "continues it" in line for line in shown.failures)
    assert any("died" in line and "LoRA" in line for line in shown.table.to_text().splitlines())
    assert main(["recommend", str(folder)]) == 0
    assert "LoRA, seed 0: died" in capsys.readouterr().out
    monkeypatch.setattr(ROOM, "_executor", lambda config: Pretend())
    assert main(words) == 0
    assert "lora, seed 0: resume (died before)" in capsys.readouterr().err
    assert StudyRecord.read(folder).status == "finished"
    assert not any("died" in line for line in report(folder).failures)
