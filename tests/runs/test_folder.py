"""The run folder: what is refused, what is removed, and files that are whole or not there."""

import errno
import os
import stat
import sys
from dataclasses import replace

import pytest

from spantune.errors import RunError
from spantune.runs import RunFolder, RunRecord, distinct_names, write_json_atomic, write_text_atomic
from spantune.runs.atomic_files import replace_folder

RECORD = RunRecord(status="finished", method="lora", label="LoRA", model="minilm", seed=0)


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "lora-0")
    assert folder.prepare() is None
    RECORD.write(folder.path)
    folder.adapter.mkdir()
    (folder.adapter / "adapter_model.safetensors").write_bytes(b"weights")
    folder.history.write_text("{}\n")
    return folder


def test_names_that_are_taken_get_a_number_that_is_free():
    names = ["lora", "lora-3", "lora", "lora", "lora-3"]
    assert distinct_names(names) == ["lora", "lora-3", "lora-2", "lora-4", "lora-3-2"]


def test_a_new_folder_is_made_and_left_empty(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    assert folder.prepare(resume=True) is None
    assert list(folder.path.iterdir()) == []


def test_a_run_that_stands_there_is_kept_unless_it_is_named(run):
    with pytest.raises(RunError, match=r"lora on minilm, seed 0: finished[\s\S]*--resume.*--overwrite"):
        run.prepare()
    assert run.adapter.exists()


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"resume": True}])
@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_ended_before_its_first_step_is_no_obstacle(tmp_path, status, flags):
    folder = RunFolder(tmp_path)
    replace(RECORD, status=status).write(folder.path)
    folder.config.write_text("data: [mistyped.json]")
    assert folder.prepare(**flags) is None
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("left", ["history", "checkpoints", "adapter"])
def test_a_failed_run_that_did_something_is_one(tmp_path, left):
    folder = RunFolder(tmp_path)
    replace(RECORD, status="failed").write(folder.path)
    getattr(folder, left).mkdir()
    with pytest.raises(RunError, match="output folder already holds a run"):
        folder.prepare()


@pytest.mark.parametrize("status", ["running", "finished"])
def test_a_run_that_may_be_alive_is_kept(tmp_path, status):
    folder = RunFolder(tmp_path)
    replace(RECORD, status=status).write(folder.path)
    with pytest.raises(RunError, match="output folder already holds a run"):
        folder.prepare()


def test_resume_returns_the_record(run):
    assert run.prepare(resume=True) == RECORD
    assert run.adapter.exists()


def test_overwrite_removes_our_files_and_no_others(run):
    (run.path / "notes.txt").write_text("mine")
    (run.path / "mine").mkdir()
    assert run.prepare(overwrite=True) is None
    assert sorted(one.name for one in run.path.iterdir()) == ["mine", "notes.txt"]


def test_overwrite_does_not_follow_links_out_of_the_folder(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("x")
    run.checkpoints.symlink_to(tmp_path / "elsewhere")
    run.prepare(overwrite=True)
    assert (tmp_path / "elsewhere" / "precious").exists()
    assert not run.checkpoints.is_symlink()


def test_overwrite_takes_a_run_whose_record_is_broken(run):
    run.record.write_text("{")
    with pytest.raises(RunError, match="broken"):
        run.prepare()
    assert run.prepare(overwrite=True) is None


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"resume": True}])
def test_a_folder_of_other_things_is_never_touched(tmp_path, flags):
    for name in "abcdefg":
        (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="a, b, c, d, e and 2 more"):
        RunFolder(tmp_path).prepare(**flags)
    assert len(list(tmp_path.iterdir())) == 7


def test_what_a_killed_process_left_is_no_obstacle(tmp_path):
    (tmp_path / ".spantune-x1").write_text("half")
    RunFolder(tmp_path).prepare()
    assert list(tmp_path.iterdir()) == []


def test_a_path_through_a_file_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="cannot be written"):
            RunFolder(path).prepare()


def test_a_read_only_folder_is_explained(tmp_path, monkeypatch):
    """As the system says it to all but root, who may write everywhere."""

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(RunError, match="may write"):
        RunFolder(tmp_path / "run").prepare()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EROFS, "cannot be written"), (errno.EACCES, "cannot be written")],
)
def test_what_the_disk_refuses_is_explained_and_the_old_file_stays(tmp_path, monkeypatch, number, words):
    path = tmp_path / "record.json"
    write_text_atomic(path, "old")

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match=rf"{words}[\s\S]*{os.strerror(number)}"):
        write_text_atomic(path, "new")
    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(RunError, match=words):
        RunFolder(tmp_path / "run").prepare()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["record.json"]


def test_a_stop_in_mid_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_json_atomic(path, {"a": 1})

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_json_atomic(path, {"a": 2})
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]
    assert path.read_text() == '{\n  "a": 1\n}\n'


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes")
def test_others_may_read_it_as_the_umask_says(tmp_path):
    write_text_atomic(tmp_path / "x", "x")
    (tmp_path / "y").write_text("y")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == stat.S_IMODE((tmp_path / "y").stat().st_mode)


def test_a_folder_takes_anothers_place(tmp_path):
    made, target = tmp_path / "made", tmp_path / "target"
    for folder, text in ((made, "new"), (target, "old")):
        folder.mkdir()
        (folder / "file").write_text(text)
    (target / "left over").touch()
    replace_folder(made, target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["file"] and (target / "file").read_text() == "new"


@pytest.mark.parametrize("flags", [{}, {"resume": True}])
def test_a_record_that_is_a_link_to_nothing_stands_for_a_run(run, flags):
    run.record.unlink()
    run.record.symlink_to("nowhere.json")
    with pytest.raises(RunError, match="record"):
        run.prepare(**flags)
    assert run.adapter.exists() and run.history.exists()
