"""Signals raise, but not while something must stay whole; and what is written stays whole wherever one arrives."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spantune.runs import write_text_atomic
from spantune.runs.atomic_files import atomic_folder, probe
from spantune.runs.interruption import (
    STOP_SIGNALS,
    Interruption,
    asked,
    exit_code,
    interruptible,
    on_signal,
    uninterrupted,
)
from spantune.runs.locks import locked

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def none_ignored(monkeypatch):
    """Whatever started the tests may have ignored some."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_raises_once(number, code):
    with pytest.raises(Interruption) as caught, interruptible():
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in STOP_SIGNALS:  # no hindrance to what must be ended
                os.kill(os.getpid(), again)
            assert asked() == number
    assert exit_code(caught.value) == code and str(caught.value) == signal.Signals(number).name
    assert asked() is None and all(signal.getsignal(one) is signal.SIG_DFL for one in STOP_SIGNALS)
    assert exit_code(KeyboardInterrupt()) == 130


def test_what_must_be_whole_is_ended_first():
    done = []
    with pytest.raises(Interruption), interruptible():
        with uninterrupted():
            with uninterrupted():
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("inner")
            assert asked() is None
        done.append("never")
    assert done == ["inner"]


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is on_signal


def test_another_thread_has_no_signals():
    said = []

    def work():
        with interruptible(), uninterrupted():
            said.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [signal.SIG_DFL]


def _folder(path: Path) -> None:
    with atomic_folder(path / "folder") as made:
        made.mkdir()
        (made / "file").write_text("new")


def _locked(path: Path) -> None:
    with locked(path / "lock", "", where=path, fix=""):
        pass


WORK = {
    "file": lambda path: write_text_atomic(path / "file", "new"),
    "folder": _folder,
    "lock": _locked,
    "probe": probe,
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_no_line_of_ours_is_a_wrong_moment(tmp_path, work):
    """A signal before each line that is run, one after another: nothing half-written stays, and the next one works."""
    ours = str(Path(sys.modules["spantune.runs.atomic_files"].__file__).parent)
    moments = stopped = 0

    def run(moment: int) -> bool:
        left = [moment]

        def trace(frame, event, argument):
            if not frame.f_code.co_filename.startswith(ours) or "interruption" in frame.f_code.co_filename:
                return None
            if event == "line":
                left[0] -= 1
                if left[0] == 0:
                    on_signal(signal.SIGTERM)
            return trace

        try:
            with interruptible():
                sys.settrace(trace)
                try:
                    work(tmp_path)
                finally:
                    sys.settrace(None)
        except Interruption:
            return True
        return left[0] <= 0

    while run(moments + 1):
        moments += 1
        stopped += 1
        names = {one.name for one in tmp_path.iterdir()}
        assert names <= {"file", "folder"}, f"after the {moments}th line"
    assert stopped > 2
    work(tmp_path)
    assert all(one.read_text() == "new" for one in tmp_path.rglob("file"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_the_command_line_ends_with_the_signals_code(number, code):
    script = (
        "import sys, time; from spantune.cli import main as cli\n"
        "def wait(words): print('there', flush=True); time.sleep(60)\n"
        "cli._dispatch = wait; sys.exit(cli.main(['report']))"
    )
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"there\n"
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code and b"interrupted" in err and b"Traceback" not in err
