"""A study of two methods and two seeds: what runs, what does not run again, and what a failure costs."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import InProcess, Pretend, StandIn
from tiny import same_weights, squad, write

from spantune.config import CompareConfig
from spantune.errors import ConfigError, MethodError, RunError, UserError
from spantune.methods import methods
from spantune.reports import Report
from spantune.runs import RunRecord
from spantune.studies import StudyRecord, compare, report_of, summary
from spantune.studies.plan import arms, final_run
from spantune.studies.worker_process import Outcome, RunProcess, _context
from spantune.training import train

PATIENCE_SECONDS = 60


def run(config: CompareConfig, executor: StandIn | None = None) -> tuple[StudyRecord, list[str]]:
    """The study, and what it said of its runs."""
    said: list[str] = []
    result = compare(config, said.append, executor)
    return result, [line for line in said if line.startswith("[")]


def test_a_study_in_processes_of_its_own(study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, Path]] = []
    monkeypatch.setattr("spantune.reports.write_report.plans", lambda report: [])  # figures have their own tests
    room = importlib.import_module("spantune.studies.compare")  # the function has the same name
    monkeypatch.setattr(room, "comparison_plots", lambda runs, target: drawn.append((len(runs), target)))
    result, said = run(study(workers=2))
    assert [(one.method, one.seed, one.status) for one in result.records] == [
        ("full", 0, "finished"),
        ("lora", 0, "finished"),
    ]
    folder = tmp_path / "study"
    assert {one.name for one in folder.iterdir()} == {
        *("full-0", "lora-0"),
        *("study.json", "table.md", "table.csv", ".locks"),
        *("report.html", "report.md", "differences.csv", "slices.csv", "errors.csv"),
    }
    assert drawn[-1] == (2, folder / "plots")
    rows = (folder / "table.csv").read_text().splitlines()
    assert len(rows) == 3 and "Full fine-tuning" in rows[1] + rows[2] and "LoRA" in rows[1] + rows[2]
    assert said == ["[1/2] full, seed 0: run (new)", "[2/2] lora, seed 0: run (new)"]
    report = report_of(result)
    shown = summary(result, report)
    assert str(folder) in shown and result.failures() is None
    assert "95% of F1" in shown and "one seed: how much" in shown
    assert report.scores is not None and report.scores.f1.shape == (2, 20)
    assert shown.startswith(str(report.finding)), "what the statistics allow, first"
    assert summary(result) == shown, "the report is read where it is not given"

    monkeypatch.setattr(Report, "write", lambda report: report)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*-*/*")}
    again, said = run(study())
    assert said == ["[1/2] full, seed 0: done (finished before)", "[2/2] lora, seed 0: done (finished before)"]
    assert again.records == result.records
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*-*/*")} == before, "nothing was touched"


def test_a_run_of_a_study_is_the_run_that_train_makes(study: Any, config: Any, tmp_path: Path, no_plots: None) -> None:
    compare(study(methods=("lora",), options={"lora": {"rank": 3}}), lambda text: None, InProcess())
    train(config("alone", method="lora", options={"rank": 3}, learning_rate=None, epochs=1, cost_seconds=0))
    assert same_weights(tmp_path / "alone", tmp_path / "study" / "lora-0")


def test_changed_options_run_again_and_say_why(study: Any, no_plots: None) -> None:
    run(study(), first := Pretend())
    assert first.names == ["full-0", "lora-0"]
    _, said = run(study(options={"lora": {"rank": 3}}), again := Pretend())
    assert again.names == ["lora-0"] and again.ran[0].config.overwrite
    assert said[0].endswith("done (finished before)")
    assert said[1].startswith("[2/2] lora, seed 0: run (changed: options: {") and "'rank': 3" in said[1]
    portions = {"checkpoint_seconds": 5.0, "max_batch_tokens": 99, "eval_batch_size": 1}
    run(study(options={"lora": {"rank": 3}}, **portions), again := Pretend())
    assert again.ran == [], "what changes no number is no change"
    run(study(options={"lora": {"rank": 3}}, methods=("lora", "head-only")), again := Pretend())
    assert again.names == ["head-only-0"], "another choice of methods keeps what is there"


def test_a_study_with_other_settings_is_not_overwritten_unasked(study: Any, tmp_path: Path, no_plots: None) -> None:
    result, _ = run(study(seeds=(0, 1)), Pretend())
    with pytest.raises(ConfigError) as raised:
        run(study(batch_size=4, max_length=32), StandIn())
    assert str(raised.value).splitlines() == [
        "the study folder holds a study with other settings:",
        "  batch-size: 8 then, 4 now",
        "  max-length: 48 then, 32 now",
        f"  where:    {tmp_path / 'study' / 'lora-0'}",
        "  fix:      the same settings, or another --output; --overwrite runs again what was trained with others",
    ]
    assert StudyRecord.read(tmp_path / "study") == result, "nothing was touched"
    _, said = run(study(batch_size=4, overwrite=True), again := Pretend())
    assert again.names == ["full-0", "lora-0"] and "changed: batch-size: 8 then, 4 now" in said[0]


def test_changed_data_run_again_also_in_the_same_process(study: Any, tmp_path: Path, no_plots: None) -> None:
    files = [write(tmp_path / name, squad(12, seed=seed)) for seed, name in enumerate(("train.json", "dev.json"))]
    config = study(methods=("lora",), data=(files[0],), eval_data=(files[1],))
    run(config, Pretend())
    for file, name in zip(files, ("the training data", "the reported set"), strict=True):
        write(Path(file), squad(12, seed=7 + len(file)))
        _, said = run(config, again := Pretend())
        assert said == [f"[1/1] lora, seed 0: run (changed: {name})"] and again.ran[0].config.overwrite
    Path(files[0]).unlink()
    _, said = run(config, StandIn())
    assert said == ["[1/1] lora, seed 0: done (finished before)"], "the record is all there is"


def test_changed_code_runs_again(study: Any, tmp_path: Path, no_plots: None) -> None:
    run(study(), Pretend())
    folder = tmp_path / "study" / "lora-0"
    record = RunRecord.read(folder)
    replace(record, code="2:" + "0" * 16).write(folder)
    _, said = run(study(), again := Pretend())
    assert again.names == ["lora-0"] and said[1] == "[2/2] lora, seed 0: run (changed: spantune's code)"
    older = {key: value for key, value in record.config.items() if key != "score_reported"}
    replace(record, code=None, config=older).write(folder)
    _, said = run(study(), StandIn())
    assert said[1].endswith("done (finished before)"), "an older record lacks the code, and what was then no setting"


def test_what_is_not_measured_yet_is_measured(study: Any, no_plots: None) -> None:
    run(study(methods=("lora",)), Pretend())
    _, said = run(study(methods=("lora",), cost_seconds=1.0), again := Pretend())
    assert said == ["[1/1] lora, seed 0: resume (finished before; to be measured: answering speed)"]
    assert again.ran[0].config.resume and not again.ran[0].config.overwrite


def test_side_by_side_no_speed_is_measured_but_behind_one_after_another(study: Any, no_plots: None) -> None:
    run(study(cost_seconds=1.0), executor := Pretend(workers=2))
    assert executor.most == 2 and executor.names == ["full-0", "lora-0", "full-0", "lora-0"]
    assert [job.config.cost_seconds for job in executor.ran] == [0.0, 0.0, 1.0, 1.0]
    assert [job.config.resume for job in executor.ran] == [False, False, True, True]
    run(study(cost_seconds=1.0), executor := Pretend(workers=2))
    assert executor.names == ["full-0", "lora-0"] and all(job.config.resume for job in executor.ran), "once each"
    run(study(cost_seconds=0.0, overwrite=True), executor := Pretend(workers=2))
    assert executor.names == []


def test_a_failing_run_costs_itself_only(study: Any, tmp_path: Path, no_plots: None) -> None:
    # 60 virtual tokens and windows of 48 do not fit into 96 positions: only this method cannot run here.
    said: list[str] = []
    broken = study(methods=("prompt-encoder", "head-only"), options={"prompt-encoder": {"length": 60}})
    result = compare(broken, said.append)
    assert [one.status for one in result.records] == ["failed", "finished"]
    assert "windows of 48 tokens do not fit into the encoder" in result.records[0].reason
    assert f"  prompt-encoder, seed 0: failed: {result.records[0].reason}" in said
    assert "windows of 48 tokens do not fit" in (tmp_path / "study" / "table.md").read_text()
    assert result.failures().splitlines()[0] == "1 of the study's runs failed; the same command tries them again:"
    _, lines = run(study(methods=("prompt-encoder", "head-only"), options={"prompt-encoder": {"length": 5}}), Pretend())
    assert lines[0].startswith("[1/2] prompt-encoder, seed 0: run (changed: options")
    assert lines[1] == "[2/2] head-only, seed 0: done (finished before)"


def test_a_failed_run_is_tried_again(study: Any, no_plots: None) -> None:
    result, _ = run(study(), Pretend(ends={"lora-0": Outcome("no such layer")}))
    assert [one.status for one in result.records] == ["finished", "failed"]
    assert (result.runs[1].status, result.runs[1].reason) == ("failed", "no such layer")
    result, said = run(study(), again := Pretend())
    assert again.names == ["lora-0"] and said[-1] == "[2/2] lora, seed 0: run (failed before: no such layer)"
    assert all(one.status == "finished" for one in result.records) and result.failures() is None


def test_no_run_finished(study: Any, tmp_path: Path, no_plots: None) -> None:
    with pytest.raises(RunError, match="no run of the study finished") as raised:
        run(study(), Pretend(lambda config: "no such layer"))
    assert "no such layer" in str(raised.value)
    assert StudyRecord.read(tmp_path / "study").status == "failed"


def test_what_every_run_would_fail_for_ends_the_study_at_once(study: Any, no_plots: None) -> None:
    said: list[str] = []
    with pytest.raises(UserError) as raised:
        compare(study(model="/no/such/encoder"), said.append)
    assert "/no/such/encoder" in str(raised.value) and "\n  " in str(raised.value), "the whole message"
    assert len([line for line in said if line.startswith("[")]) == 1
    executor = Pretend(ends={"full-0": Outcome("no such file\n  where: x.json", shared="study")})
    with pytest.raises(UserError, match=r"no such file\n  where"):
        run(study(), executor)
    assert executor.names == ["full-0"] and executor.closed


def test_an_encoder_that_cannot_be_used_costs_its_own_runs(study: Any, bert: str, no_plots: None) -> None:
    end = {"none-full-0": Outcome("there is no such encoder\n  where: none", shared="encoder")}
    executor = Pretend(ends=end)
    result, _ = run(study(models=("none", bert), model="minilm"), executor)
    assert executor.names == ["none-full-0", "bert-full-0", "bert-lora-0"]
    assert [one.status for one in result.runs] == ["failed", "skipped", "finished", "finished"]
    assert result.runs[1].reason == "the encoder cannot be used: there is no such encoder"


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
        ({"teachers": ("runs/ful-0",)}, RunError, "there is no trained model here"),
        ({"sweep": ("learning-rate",), "grid": ("lora.learning-rate=1",)}, ConfigError, "a grid of one value"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    changes: dict[str, Any], error: type[Exception], words: str, study: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    executor = StandIn()
    with pytest.raises(error, match=words):
        run(study(**changes), executor)
    assert executor.ran == [] and not (tmp_path / "study").exists()


def test_a_folder_of_other_things_is_never_touched(study: Any, tmp_path: Path) -> None:
    mine = tmp_path / "study" / "lora-0" / "thesis.tex"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    executor = StandIn()
    with pytest.raises(RunError, match="holds no study"):
        run(study(), executor)
    (tmp_path / "study" / "study.json").write_text("{}")
    with pytest.raises(RunError, match="holds no run") as raised:
        run(study(), executor)
    assert "thesis.tex" in str(raised.value) and executor.ran == []
    assert {one.name for one in mine.parent.iterdir()} == {"thesis.tex"}


def test_a_study_folder_that_cannot_be_made(study: Any, tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file")
    with pytest.raises(RunError, match="the output cannot be written"):
        run(study(), StandIn())


def test_two_studies_do_not_work_in_one_folder(study: Any, tmp_path: Path, no_plots: None) -> None:
    class Meanwhile(Pretend):
        def carry_out(self, config: Any) -> Outcome:
            with pytest.raises(RunError, match="another `spantune compare` works on this study"):
                run(study(), StandIn())
            return super().carry_out(config)

    result, _ = run(study(), Meanwhile())
    assert result.status == "finished"


def test_what_a_reader_of_the_numbers_must_know(study: Any, train_file: str, tmp_path: Path, no_plots: None) -> None:
    said: list[str] = []
    result = compare(study(eval_data=(train_file,)), said.append, Pretend())
    alone, shared = result.notes
    assert alone.startswith("one seed: how much of a difference is the seed's chance cannot be known")
    assert shared.startswith("CAUTION: 40 contexts of the reported set are also in the training data")
    assert said[1:3] == [f"note: {alone}", f"note: {shared}"], "before anything runs"
    assert shared in summary(result)
    record = RunRecord.read(tmp_path / "study" / "lora-0")
    replace(record, versions={"torch": "1.0"}).write(tmp_path / "study" / "lora-0")
    other = RunRecord.read(tmp_path / "study" / "full-0")
    replace(other, versions={"torch": "2.0"}).write(tmp_path / "study" / "full-0")
    result, _ = run(study(eval_data=(train_file,), seeds=(0, 1)), Pretend())
    assert result.notes[1:] == ("CAUTION: the runs were made with different versions of torch: 1.0, 2.0",)


def test_a_study_with_teachers_says_what_estimates_leave_out(study: Any, no_plots: None) -> None:
    result, _ = run(study(teachers=("zoo/lora",), methods=("lora",)), Pretend())
    assert any(note.startswith("the teachers answer the training data") for note in result.notes)


def test_seeds_are_scored_on_the_same_questions(study: Any, no_plots: None) -> None:
    result, _ = run(study(methods=("lora",), seeds=(0, 1), max_eval_examples=7, max_train_examples=50), Pretend())
    first, second = (one.data for one in result.records)
    assert first["reported"].fingerprint == second["reported"].fingerprint and first["reported"].examples == 7
    assert first["train"].fingerprint != second["train"].fingerprint


def test_encoders_of_one_name_do_not_share_a_folder(study: Any) -> None:
    config = study(models=("runs/lora", "runs/lora-3", "old/lora", "older/lora"), model="minilm", methods=("full",))
    assert [arm.folder for arm in arms(config)] == ["lora-full", "lora-3-full", "lora-2-full", "lora-4-full"]


def test_every_method_is_compared_by_default(study: Any) -> None:
    config = study(methods=())
    assert [arm.method for arm in arms(config)] == list(methods())
    assert final_run(config, arms(config)[0], 5, {}).seed == 5


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
def long(study: Any, tmp_path: Path, no_plots: None) -> Any:
    """A study of one run that takes some seconds."""
    data = write(tmp_path / "long.json", squad(200, seed=3))
    return lambda **changes: study(
        methods=("full",), data=(data,), epochs=3, selection_fraction=0.05, checkpoint_seconds=0.1, **changes
    )


def stopping(number: int, folder: Path) -> threading.Thread:
    """Send the worker a signal as soon as it has written a checkpoint."""
    thread = threading.Thread(target=lambda: os.kill(wait_for_worker(folder / "full-0"), number))
    thread.start()
    return thread


def test_a_worker_that_is_killed_goes_on_in_smaller_portions(long: Any, tmp_path: Path) -> None:
    thread = stopping(signal.SIGKILL, tmp_path / "study")
    result, said = run(long())
    thread.join()
    assert said == ["[1/1] full, seed 0: run (new)", "[1/1] full, seed 0: resume (crashed before)"]
    (record,) = result.records
    killed = "its process was killed by signal 9, as a system does that has no memory left; tried again with 192 tokens"
    assert record.status == "finished" and record.notes[-1] == f"{killed} at once" and record.resumed == 1
    assert record.config["max_batch_tokens"] == 8 * 48 // 2
    assert result.runs[0].attempts == (f"{killed} at once",)
    again, said = run(long())
    assert said == ["[1/1] full, seed 0: done (finished before)"], "smaller portions are no other run"
    assert again.runs[0].attempts == result.runs[0].attempts


def test_an_interrupted_study_goes_on_in_mid_run(long: Any, tmp_path: Path) -> None:
    thread = stopping(signal.SIGTERM, tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        run(long())
    thread.join()
    assert RunRecord.read(tmp_path / "study" / "full-0").status == "interrupted"
    assert StudyRecord.read(tmp_path / "study").status == "interrupted"
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
    config = long()
    started = RunProcess(final_run(config, arms(config)[0], 0, {}))
    end = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "study" / "full-0" / "record.json").exists() and time.monotonic() < end:
        time.sleep(0.001)
    started.stop()
    assert started.outcome() == Outcome(interrupted=True)
    assert RunRecord.read(tmp_path / "study" / "full-0").status == "interrupted"
