"""A study of two methods and two seeds: what runs, what does not run again, and what a failure costs."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import same_weights, squad, write

from spantune.config import CompareConfig, TrainConfig
from spantune.errors import ConfigError, MethodError, RunError, UserError
from spantune.records import RunRecord
from spantune.studies import StudyRecord, compare
from spantune.studies.apart import _context, start
from spantune.studies.cells import cells
from spantune.training import train

PATIENCE_SECONDS = 60


@pytest.fixture
def study(settings: dict[str, Any], tmp_path: Path) -> Any:
    """Makes the configuration of a study in `tmp_path/study`."""
    shared = {key: value for key, value in settings.items() if key not in ("method", "learning_rate")}

    def make(**changes: Any) -> CompareConfig:
        given = {**shared, "methods": ("full", "lora"), "epochs": 1, "output": str(tmp_path / "study"), **changes}
        return CompareConfig(**given)

    return make


def run(config: CompareConfig) -> tuple[StudyRecord, list[str]]:
    said: list[str] = []
    return compare(config, said.append), said


def in_process(monkeypatch: pytest.MonkeyPatch, fails: dict[str, BaseException] | None = None) -> list[str]:
    """Train without new processes; which runs were trained."""
    trained = []

    def apart(config: TrainConfig, name: str) -> Any:
        from spantune.studies.apart import Outcome

        trained.append(name)
        if name in (fails or {}):
            error = fails[name]
            if isinstance(error, Exception):
                return Outcome(str(error))
            raise error
        train(config)
        return Outcome()

    monkeypatch.setattr(importlib.import_module("spantune.studies.compare"), "run_apart", apart)
    monkeypatch.setattr("spantune.training.run.run_plots", lambda folder: [])
    return trained


def test_a_study_in_processes_of_its_own(study: Any, tmp_path: Path) -> None:
    result, said = run(study(seeds=(0, 1)))
    assert [(one.method, one.seed, one.status) for one in result.records] == [
        ("full", 0, "finished"),
        ("full", 1, "finished"),
        ("lora", 0, "finished"),
        ("lora", 1, "finished"),
    ]
    folder = tmp_path / "study"
    assert {one.name for one in folder.iterdir()} == {
        "full-0",
        "full-1",
        "lora-0",
        "lora-1",
        "table.md",
        "table.csv",
        "plots",
    }
    assert {"f1_against_parameters.png", "loss_curves.png", "learning_curves.png"} <= {
        one.name for one in (folder / "plots").iterdir()
    }
    rows = (folder / "table.csv").read_text().splitlines()
    assert len(rows) == 3 and "Full fine-tuning" in rows[1] + rows[2] and "LoRA" in rows[1] + rows[2]
    assert said[0] == "[1/4] full, seed 0: run (new)"
    assert str(folder) in result.summary()

    before = {path: path.stat().st_mtime_ns for path in folder.glob("*-*/*")}
    again, said = run(study(seeds=(0, 1)))
    assert said == [f"[{n}/4] {name}: done (finished before)" for n, name in enumerate(
        ("full, seed 0", "full, seed 1", "lora, seed 0", "lora, seed 1"), start=1
    )]  # fmt: skip
    assert again.records == result.records
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*-*/*")} == before, "nothing was touched"


def test_a_run_of_a_study_is_the_run_that_train_makes(
    study: Any, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process(monkeypatch)
    compare(study(methods=("lora",), options={"lora": {"rank": 3}}), lambda text: None)
    train(config("alone", method="lora", options={"rank": 3}, learning_rate=None, epochs=1))
    assert same_weights(tmp_path / "alone", tmp_path / "study" / "lora-0")


def test_a_changed_setting_runs_again_and_says_why(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = in_process(monkeypatch)
    compare(study(), lambda text: None)
    assert trained == ["full, seed 0", "lora, seed 0"]
    _, said = run(study(options={"lora": {"rank": 3}}))
    assert trained[2:] == ["lora, seed 0"] and said[0].endswith("done (finished before)")
    assert said[1].startswith("[2/2] lora, seed 0: run (changed: options: {") and "'rank': 3" in said[1]
    _, said = run(study(batch_size=4, checkpoint_seconds=5.0))
    assert len(trained) == 5 and "changed: " in said[0] and "batch-size: 8 then, 4 now" in said[0]
    assert "checkpoint" not in said[0], "what changes no number is no change"
    _, said = run(study(batch_size=4, methods=("lora", "head-only")))
    assert trained[5:] == ["head-only, seed 0"], "another choice of methods keeps what is there"


def test_changed_data_runs_again_also_in_the_same_process(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = in_process(monkeypatch)
    config = study(methods=("lora",), data=(str(write(tmp_path / "changing.json", squad(12))),))
    run(config)
    assert [cell.plan for cell in cells(config)] == ["done"]
    write(tmp_path / "changing.json", squad(12, seed=1))
    (cell,) = cells(config)
    assert (cell.plan, cell.why) == ("run", "changed: the training data")
    run(config)
    assert len(trained) == 2 and [cell.plan for cell in cells(config)] == ["done"]


def test_a_failing_run_costs_itself_only(study: Any, tmp_path: Path) -> None:
    # 60 virtual tokens and windows of 48 do not fit into 96 positions: only this method cannot run here.
    result, said = run(study(methods=("prompt-encoder", "head-only"), options={"prompt-encoder": {"length": 60}}))
    assert [one.status for one in result.records] == ["failed", "finished"]
    assert "windows of 48 tokens do not fit into the encoder" in result.records[0].reason
    assert said[1] == f"  failed: {result.records[0].reason}"
    assert "windows of 48 tokens do not fit" in (tmp_path / "study" / "table.md").read_text()
    _, said = run(study(methods=("prompt-encoder", "head-only"), options={"prompt-encoder": {"length": 5}}))
    assert said[0].startswith("[1/2] prompt-encoder, seed 0: run (changed: options")
    assert said[1] == "[2/2] head-only, seed 0: done (finished before)"


def test_a_failed_run_is_tried_again(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(monkeypatch, {"lora, seed 0": RuntimeError("out of memory")})
    result, said = run(study())
    assert [one.status for one in result.records] == ["finished", "failed"] and "out of memory" in said[-1]
    trained = in_process(monkeypatch)
    result, said = run(study())
    assert trained == ["lora, seed 0"] and said[-1] == "[2/2] lora, seed 0: run (failed before: out of memory)"
    assert all(one.status == "finished" for one in result.records)


def test_no_run_finished(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("out of memory")
    in_process(monkeypatch, {"full, seed 0": error, "lora, seed 0": error})
    with pytest.raises(RunError, match="no run of the study finished") as raised:
        run(study())
    assert "out of memory" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ("missing.json",)}, "missing.json"),
        ({"model": "/no/such/encoder"}, "/no/such/encoder"),
    ],
)
def test_what_every_run_would_fail_for_ends_the_study_at_once(
    changes: dict[str, Any], words: str, study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with pytest.raises(UserError) as raised:
        compare(study(**changes), said.append)
    assert words in str(raised.value) and "\n  " in str(raised.value), "the whole message"
    assert len(said) == 1


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"methods": ("full", "lorra")}, MethodError, "did you mean 'lora'"),
        ({"methods": ("full", "full")}, ConfigError, "each value once"),
        ({"seeds": (1, 1)}, ConfigError, "each value once"),
        ({"options": {"lora": {"rnk": 3}}}, MethodError, "did you mean 'rank'"),
        ({"options": {"lora": {"rank": 0}}}, MethodError, "rank"),
        ({"seeds": ()}, ConfigError, "at least one seed"),
        ({"output": "{nothing}"}, ConfigError, "cannot be filled in"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    changes: dict[str, Any], error: type[Exception], words: str, study: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    trained = in_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run(study(**changes))
    assert trained == [] and not (tmp_path / "study").exists()


def test_a_folder_of_other_things_is_never_touched(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = in_process(monkeypatch)
    mine = tmp_path / "study" / "lora-0" / "thesis.tex"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    with pytest.raises(RunError, match="holds no run") as raised:
        run(study())
    assert "thesis.tex" in str(raised.value) and trained == []
    assert {one.name for one in mine.parent.iterdir()} == {"thesis.tex"}


def test_a_study_folder_that_cannot_be_made(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = in_process(monkeypatch)
    (tmp_path / "study").write_text("a file")
    with pytest.raises(RunError, match="the output cannot be written"):
        run(study())
    assert trained == []


def test_every_method_is_compared_by_default(study: Any) -> None:
    from spantune.methods import methods

    planned = cells(study(methods=(), seeds=(0, 1)))
    assert [(one.config.method, one.config.seed) for one in planned] == [
        (name, seed) for name in methods() for seed in (0, 1)
    ]


def wait_for_checkpoint(run: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not list(run.glob("checkpoints/checkpoint-*/trainer_state.json")):
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.005)


def wait_for_worker(run: Path) -> int:
    """The process that trains, once it has written a checkpoint."""
    wait_for_checkpoint(run)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    return worker.pid


@pytest.fixture
def long(study: Any, tmp_path: Path) -> Any:
    """A study of one run that takes some seconds."""
    data = write(tmp_path / "long.json", squad(200, seed=3))
    return lambda **changes: study(
        methods=("full",), data=(data,), epochs=5, selection_fraction=0.05, checkpoint_seconds=0.1, **changes
    )


def stopping(number: int, folder: Path) -> threading.Thread:
    """Send the worker a signal as soon as it has written a checkpoint."""
    thread = threading.Thread(target=lambda: os.kill(wait_for_worker(folder / "full-0"), number))
    thread.start()
    return thread


def test_a_worker_that_is_killed_leaves_a_truthful_record(long: Any, tmp_path: Path) -> None:
    thread = stopping(signal.SIGKILL, tmp_path / "study")
    with pytest.raises(RunError, match="killed by signal 9"):
        run(long())
    thread.join()
    record = RunRecord.read(tmp_path / "study" / "full-0")
    assert record.status == "failed" and record.reason == "its process was killed by signal 9"


def test_an_interrupted_study_goes_on_in_mid_run(long: Any, tmp_path: Path) -> None:
    thread = stopping(signal.SIGTERM, tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        run(long())
    thread.join()
    assert RunRecord.read(tmp_path / "study" / "full-0").status == "interrupted"
    result, said = run(long())
    assert said == ["[1/1] full, seed 0: resume (interrupted before)"]
    assert result.records[0].status == "finished" and result.records[0].resumed == 1


def test_a_killed_study_leaves_no_run_behind(long: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study" / "full-0"
    study = _context().Process(target=compare, args=(long(),))
    study.start()
    wait_for_checkpoint(folder)
    study.kill()
    study.join()
    end = time.monotonic() + PATIENCE_SECONDS
    while RunRecord.read(folder).status == "running" and time.monotonic() < end:
        time.sleep(0.01)
    assert RunRecord.read(folder).status == "interrupted"


def test_an_interruption_while_the_libraries_load_is_one_too(long: Any, tmp_path: Path) -> None:
    config = cells(long())[0].config
    process, _ = start(config, "early")
    end = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "study" / "full-0" / "record.json").exists() and time.monotonic() < end:
        time.sleep(0.001)
    process.terminate()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 130
    assert RunRecord.read(tmp_path / "study" / "full-0").status == "interrupted"
