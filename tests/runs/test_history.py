"""history.jsonl: torn lines, resumed runs."""

import errno
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.errors import RunError
from spantune.runs import History


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path / "history.jsonl")
    for step in (1, 2, 3):
        history.append(step=step, epoch=step / 2, loss=1.0 / step)
    return history


def test_lines_come_back_in_order(history):
    assert history.read() == [{"step": step, "epoch": step / 2, "loss": 1.0 / step} for step in (1, 2, 3)]


def test_no_file_is_no_history(tmp_path):
    assert History(tmp_path / "history.jsonl").read() == []
    History(tmp_path / "history.jsonl").truncate_after(5)


def test_nan_becomes_null(history):
    history.append(step=4, epoch=2.0, loss=math.nan, grad_norm=math.inf)
    assert history.read()[-1] == {"step": 4, "epoch": 2.0, "loss": None, "grad_norm": None}
    assert "NaN" not in history.path.read_text()


def test_a_resumed_run_takes_later_steps_back(history):
    history.append(step=2, epoch=1.0, selection_f1=40.0)
    history.truncate_after(2)
    assert [row["step"] for row in history.read()] == [1, 2, 2]
    history.append(step=3, epoch=1.5, loss=0.1)
    assert [row["step"] for row in history.read()] == [1, 2, 2, 3]


@given(cut=st.integers(min_value=1, max_value=200))
def test_killed_at_any_byte_it_keeps_every_whole_line_and_goes_on(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("run") / "history.jsonl"
    whole = "".join(json.dumps({"step": step, "epoch": 0.5, "note": "größe"}) + "\n" for step in range(1, 5)).encode()
    path.write_bytes(whole[:-cut])
    lines = whole[:-cut].count(b"\n")
    assert len(History(path).read()) == lines
    History(path).append(step=9, epoch=1.0)
    assert [row["step"] for row in History(path).read()] == [*range(1, lines + 1), 9]


def test_a_broken_line_in_the_middle_is_named(history):
    lines = history.path.read_text().splitlines(keepends=True)
    history.path.write_text(lines[0] + "{oops\n" + lines[2])
    with pytest.raises(RunError, match="line 2"):
        history.read()


def test_a_line_that_a_full_disk_cut_is_no_obstacle(history, monkeypatch):
    def half(self, mode, **options):
        if "a" in mode:
            self.write_bytes(self.read_bytes() + b'{"step": 4, "ep')
            raise OSError(errno.ENOSPC, "No space left on device")
        return open(self, mode, **options)

    with monkeypatch.context() as full, pytest.raises(RunError, match="no space left"):
        full.setattr(type(history.path), "open", half)
        history.append(step=4, epoch=2.0)
    history.append(step=5, epoch=2.5)
    assert [row["step"] for row in history.read()] == [1, 2, 3, 5]
