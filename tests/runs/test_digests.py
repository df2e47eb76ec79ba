"""Digests of files: what is altered is named, whatever way it was altered; a file is read once."""

import json
from pathlib import Path

import pytest
from damage import flip

from spantune.errors import RunError
from spantune.runs import RunRecord
from spantune.runs.digests import altered, digests_of, is_sealed, refuse_altered, sealed, sha256_of

RECORD = RunRecord(status="finished", method="lora", label="LoRA", model="minilm", seed=0, metrics={"a": {"f1": 71.25}})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "in" / "b.bin").write_bytes(b"b" * 100)
    return tmp_path


def test_all_files_below_a_folder_or_those_that_are_there(folder):
    assert list(digests_of(folder)) == ["a.bin", "in/b.bin"]
    assert list(digests_of(folder, ("a.bin", "c.bin"))) == ["a.bin"]
    assert altered(folder, digests_of(folder)) == ()


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "zeros", "gone", "folder", "link"])
def test_what_is_altered_is_named(folder, how):
    digests, path = digests_of(folder), folder / "a.bin"
    content = path.read_bytes()
    if how == "flip":
        flip(path, 0.5)
    elif how == "zeros":
        path.write_bytes(content[:600] + bytes(600) + content[1200:])
    elif how in ("cut", "empty"):
        path.write_bytes(content[: -3 if how == "cut" else 0])
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to("nowhere")
    (line,) = altered(folder, digests)
    assert line.startswith(f"{path} ")
    with pytest.raises(RunError, match=r"the run is damaged\n\s+where:\s+\S+a\.bin\n"):
        refuse_altered(folder, digests, "run", "bring it back")


def test_a_file_that_stays_is_read_once(folder, monkeypatch):
    first = sha256_of(folder / "a.bin")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("read again"))
    assert sha256_of(folder / "a.bin") == first


def test_sealed_content_tells_that_it_was_changed():
    content = sealed({"f1": 71.25, "name": "Łódź", "none": None, "list": [1, 2.5e-9]})
    assert is_sealed(json.loads(json.dumps(content)))
    assert is_sealed({**content, "f1": 71.5}) is False
    assert is_sealed({"f1": 71.25}) is None


def test_a_digit_that_changed_in_a_record_is_damage(tmp_path):
    RECORD.write(tmp_path)
    assert RunRecord.read(tmp_path) == RECORD
    path = tmp_path / "record.json"
    path.write_text(path.read_text().replace("71.25", "77.25"))
    with pytest.raises(RunError, match=r"the run's record is damaged[\s\S]*record\.json"):
        RunRecord.read(tmp_path)


def test_an_older_record_has_no_digest_and_is_read(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(RECORD.to_json()))
    assert RunRecord.read(tmp_path) == RECORD
