"""Locks: one process at a time, whose name the others learn; a dead one is no obstacle."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spantune.errors import RunError
from spantune.runs import RunFolder, locks
from spantune.runs.locks import Holder, holder, locked

PATIENCE_SECONDS = 30


def lock(path: Path, patience: float = 0.0):
    return locked(path, "taken", where=path.parent, fix="wait", patience=patience)


@pytest.fixture
def another(tmp_path):
    """Another process that holds the lock; it ends when its standard input is closed."""
    code = (
        "import sys; from pathlib import Path; from spantune.runs.locks import locked\n"
        "with locked(Path(sys.argv[1]), 'taken', where=Path('x'), fix=''): print('has it', flush=True); input()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"has it")
        yield process
        process.kill()


def test_a_lock_is_held_by_one_and_leaves_nothing(tmp_path):
    path = tmp_path / "folder" / "lock"
    assert holder(path) is None
    with lock(path):
        mine = holder(path)
        assert mine is not None and (mine.pid, mine.host) == (os.getpid(), socket.gethostname())
        with pytest.raises(RunError, match=f"process {os.getpid()} on"), lock(path):
            pass
        assert holder(path) == mine, "the loser changes nothing"
    assert holder(path) is None and list(path.parent.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), lock(path):
        raise KeyboardInterrupt
    with lock(path):
        pass


def test_the_loser_learns_which_process_works_there(tmp_path, another):
    began = time.monotonic()
    with pytest.raises(RunError) as caught, lock(tmp_path / "lock"):
        pass
    assert time.monotonic() - began < 5
    error, content = caught.value, json.loads((tmp_path / "lock").read_text())
    assert error.exit_code == 2 and content["pid"] == another.pid
    assert error.found == f"process {another.pid} on {socket.gethostname()}, since {content['since']}"
    assert str(Holder(3, "here", "noon")) == "process 3 on here, since noon"


def test_a_killed_process_holds_nothing(tmp_path, another):
    assert holder(tmp_path / "lock").pid == another.pid
    os.kill(another.pid, signal.SIGKILL)
    another.wait(PATIENCE_SECONDS)
    assert (tmp_path / "lock").exists() and holder(tmp_path / "lock") is None
    with lock(tmp_path / "lock"):
        assert holder(tmp_path / "lock").pid == os.getpid()


def test_one_that_is_patient_gets_it(tmp_path, another):
    threading.Timer(1.0, another.stdin.close).start()
    with lock(tmp_path / "lock", PATIENCE_SECONDS):
        assert holder(tmp_path / "lock").pid == os.getpid()


def test_never_two_at_once(tmp_path):
    """Each releases its lock, and thereby removes the file that the others have open already."""
    inside, most, rounds = [0], [0], 40

    def take():
        for _ in range(rounds):
            with lock(tmp_path / "lock", PATIENCE_SECONDS):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert most == [1] and not any(thread.is_alive() for thread in threads)


def test_a_file_that_its_last_holder_removed_is_no_lock(tmp_path, monkeypatch):
    """Between opening and locking it: whoever came later would lock another file."""
    path, real, removed = tmp_path / "lock", locks._lock, []

    def late(file, **more):
        if not removed:
            removed.append(path.unlink())
        return real(file, **more)

    monkeypatch.setattr(locks, "_lock", late)
    with lock(path):
        assert removed and holder(path).pid == os.getpid()


def test_a_look_at_a_lock_writes_nothing(tmp_path):
    assert holder(tmp_path / "lock") is None and list(tmp_path.iterdir()) == []
    (tmp_path / "lock").write_text("{")
    assert holder(tmp_path / "lock") is None and (tmp_path / "lock").read_text() == "{"


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("spantune.runs.locks._lock", refuse)
    with pytest.warns(UserWarning, match="without locks"), lock(tmp_path / "lock"):
        assert holder(tmp_path / "lock").pid == os.getpid()


def test_a_run_folder_has_one_writer(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.only_writer():
        with pytest.raises(RunError, match=r"works in this run folder[\s\S]*run\n[\s\S]*found: +process") as caught:
            folder.only_writer().__enter__()
        assert caught.value.fix is not None and "--output" in caught.value.fix
        folder.prepare(overwrite=True)
        assert folder.lock.exists(), "to clear the folder is no way to lose it"
    assert list(folder.path.iterdir()) == []


def test_a_folder_of_other_things_is_not_locked(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(RunError, match="holds no run"):
        RunFolder(tmp_path).only_writer()
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]
