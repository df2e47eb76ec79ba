"""Where an output leads: links, FIFOs, sockets, devices and folders, for every kind of writer."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from spantune.errors import RunError
from spantune.runs import History, RunFolder, RunRecord, write_json_atomic
from spantune.runs.atomic_files import (
    atomic_file,
    atomic_folder,
    atomic_json_object,
    make_folder,
    require_writable,
    write_bytes_atomic,
    write_text_atomic,
)
from spantune.scoring.prediction_files import n_best_file, write_null_odds, write_predictions

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no FIFOs, and links need rights")
RECORD = RunRecord(status="finished", method="lora", label="LoRA", model="minilm", seed=0)
PATIENCE_SECONDS = 20


def _n_best(path, **more):
    with n_best_file(path, **more):
        pass


def _entries(path, **more):
    with atomic_json_object(path, **more) as put:
        put("q", "1")


OUTPUTS = {
    "text": lambda path, **more: write_text_atomic(path, "new", **more),
    "entries": _entries,
    "predictions": lambda path, **more: write_predictions(path, {"q": "new"}, **more),
    "null odds": lambda path, **more: write_null_odds(path, {"q": 1.0}, **more),
    "candidates": _n_best,
}
"""Writers of what the user names."""
OWN_FILES = {
    "json": lambda path: write_json_atomic(path, {"a": 1}),
    "bytes": lambda path: write_bytes_atomic(path, b"new"),
    "history": lambda path: History(path).append(step=1, epoch=0.1, loss=1.0),
    **OUTPUTS,
}
"""Writers of the files in a run's or study's folder."""


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # an address has at most 107 characters
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


MAKE = {"a FIFO": os.mkfifo, "a socket": _socket, "a folder": Path.mkdir}


@pytest.fixture
def device():
    """A character device of the test's own, a pseudo-terminal, whose other side is read; never one of the machine."""
    reading, writing = os.openpty()

    def drain():
        with suppress(OSError):  # the other side is closed
            while os.read(reading, 65536):
                pass

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    yield Path(os.ttyname(writing))
    os.close(writing)
    reader.join(PATIENCE_SECONDS)
    os.close(reading)


def written_to_a_fifo(path: Path, write) -> bytes:
    """What a reader of the FIFO gets; the writer must not leave it waiting."""
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    write()
    reader.join(PATIENCE_SECONDS)
    assert not reader.is_alive()
    return got[0]


@pytest.mark.parametrize("write", OWN_FILES.values(), ids=OWN_FILES.keys())
def test_a_link_stays_and_its_target_is_written(tmp_path, write):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "here" / "link"
    link.symlink_to(Path("..") / "here" / "second")
    (tmp_path / "here" / "second").symlink_to(target)
    for there in (False, True):  # a link that leads nowhere yet, and to a file
        write(link)
        assert link.is_symlink() and target.is_file() and not target.is_symlink() and target.stat().st_size
        assert there or target.unlink() is None
    assert {one.name for one in tmp_path.rglob("*")} == {"elsewhere", "here", "file", "link", "second"}


@pytest.mark.parametrize("kind", [*MAKE, "a device"])
@pytest.mark.parametrize("write", OWN_FILES.values(), ids=OWN_FILES.keys())
def test_a_file_of_a_run_is_a_file(tmp_path, request, write, kind):
    """A record on a FIFO would keep the run waiting, and one on a device could not be read again."""
    path = tmp_path / "thing"
    if kind == "a device":
        path.symlink_to(request.getfixturevalue("device"))
    else:
        MAKE[kind](path)
    before = path.lstat()
    with pytest.raises(RunError, match=rf"cannot be written\n +where: .*thing\n +expected: .*\n +found: +{kind}"):
        write(path)
    assert os.path.samestat(path.lstat(), before) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "linked"])
@pytest.mark.parametrize("write", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_an_output_to_a_fifo_reaches_its_reader(tmp_path, write, linked):
    fifo, plain, path = tmp_path / "fifo", tmp_path / "plain", tmp_path / ("link" if linked else "fifo")
    os.mkfifo(fifo)
    if linked:
        path.symlink_to("fifo")
    require_writable(path)
    write(plain)
    assert written_to_a_fifo(path, lambda: write(path, streams=True)) == plain.read_bytes()
    assert fifo.is_fifo() and path.is_symlink() == linked


@pytest.mark.parametrize("write", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_an_output_to_a_device_leaves_the_device(tmp_path, device, write):
    before = device.stat()
    (tmp_path / "link").symlink_to(device)
    for path in (device, tmp_path / "link"):
        require_writable(path)
        write(path, streams=True)
    after = device.stat()
    assert (after.st_mode, after.st_rdev, after.st_ino) == (before.st_mode, before.st_rdev, before.st_ino)
    assert device.is_char_device() and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("kind", ["a socket", "a folder"])
@pytest.mark.parametrize("write", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_what_cannot_be_an_output_is_refused_before_and_after(tmp_path, write, kind):
    path = tmp_path / "thing"
    MAKE[kind](path)
    for attempt in (require_writable, lambda path: write(path, streams=True)):
        with pytest.raises(RunError, match=rf"cannot be written\n +where: .*thing\n +expected: .*\n +found: +{kind}"):
            attempt(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_disk_is_no_output(tmp_path, monkeypatch):
    """Nothing is opened: what the system says of the file is made up."""
    (tmp_path / "disk").touch()
    monkeypatch.setattr("spantune.runs.atomic_files.stat.S_IFMT", lambda mode: 0o060000)
    for attempt in (require_writable, lambda path: write_text_atomic(path, "x", streams=True)):
        with pytest.raises(RunError, match=r"found: +a block device"):
            attempt(tmp_path / "disk")


def test_a_circle_of_links_is_explained(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for attempt in (require_writable, lambda path: write_text_atomic(path, "x", streams=True), make_folder):
        with pytest.raises(RunError, match="cannot be written"):
            attempt(tmp_path / "a")


def test_a_reader_that_leaves_is_no_mistake_of_the_users(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader = threading.Thread(target=lambda: (tmp_path / "fifo").open().close(), daemon=True)
    reader.start()
    with pytest.raises(BrokenPipeError), atomic_file(tmp_path / "fifo", streams=True) as write:
        reader.join(PATIENCE_SECONDS)
        for _ in range(1000):
            write("x" * 1000)


def test_standard_output_keeps_its_place(tmp_path):
    """What was printed before stays, and what is printed later follows."""
    code = (
        "from pathlib import Path; from spantune.runs import write_text_atomic as write; print('before')\n"
        "for path in ('/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'): write(Path(path), path + '\\n', streams=True)\n"
        "print('after')"
    )
    expected = "before\n/dev/stdout\n/dev/fd/1\n/proc/self/fd/1\nafter\n"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, timeout=PATIENCE_SECONDS)
    assert (tmp_path / "out").read_text() == expected
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS)
    assert piped.stdout.decode() == expected


def test_a_folder_is_made_where_a_link_leads(tmp_path):
    (tmp_path / "link").symlink_to("target")
    folder = RunFolder(tmp_path / "link")
    folder.prepare()
    RECORD.write(folder.path)
    assert (tmp_path / "link").is_symlink() and RunRecord.read(tmp_path / "target") == RECORD
    for kind, make in MAKE.items():
        if kind != "a folder":
            make(tmp_path / kind)
            with pytest.raises(RunError, match=f"cannot be written[\\s\\S]*found: +{kind}"):
                RunFolder(tmp_path / kind).prepare()


def test_a_folder_of_weights_replaces_the_one_behind_a_link(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "weights").write_text("old")
    (tmp_path / "adapter").symlink_to("old")
    with atomic_folder(tmp_path / "adapter") as made:
        made.mkdir()
        (made / "weights").write_text("new")
    assert (tmp_path / "adapter").is_symlink() and (tmp_path / "old" / "weights").read_text() == "new"
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "adapter") as made:
        made.mkdir()
        raise KeyboardInterrupt
    assert {one.name for one in tmp_path.iterdir()} == {"adapter", "old"}
    assert (tmp_path / "old" / "weights").read_text() == "new"
