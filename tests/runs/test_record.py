"""record.json: the round trip, and every way in which a file can be wrong."""

import json
import math
from dataclasses import fields, replace

import pytest

from spantune.errors import RunError
from spantune.runs import Best, DataRecord, ParameterCount, RunRecord, Timings, utc_now
from spantune.runs.locks import RUN_LOCK, locked

RECORD = RunRecord(
    status="finished",
    method="lora",
    label="LoRA",
    model="minilm",
    seed=3,
    command=("spantune", "train", "--data", "a b.json"),
    config={"learning_rate": 1e-3, "data": ["sample"], "options": {"rank": 8}, "early_stopping": None},
    options={"rank": 8},
    data={"train": DataRecord(("sample",), "ab12", 600, 640, {"no window holds the answer": 2})},
    versions={"python": "3.11"},
    hardware={"cpu": "a CPU", "cores": 2, "memory_bytes": 2**34},
    git={"commit": "0" * 40, "dirty": True},
    parameters=ParameterCount(trainable=1_000, total=100_000, head=770),
    adapter_bytes=4_000,
    timings=Timings(train_seconds=61.5, eval_seconds=3, wall_seconds=70.0, examples_per_second=17.6),
    peak_memory_bytes=10**9,
    metrics={"selection": {"em": 30.0, "f1": 40.5}, "reported": {"em": 31.0, "f1": 41.0, "total": 160}},
    best=Best(step=40, epoch=2.0, f1=40.5),
    steps=60,
    notes=("2 answers repaired", "naïve — ünïcode"),
    started_at=utc_now(),
    finished_at=utc_now(),
    resumed=1,
)
SMALL = RunRecord(status="interrupted", method="lora", label="LoRA", model="minilm", seed=0)


@pytest.mark.parametrize("record", [RECORD, SMALL])
def test_what_is_written_is_read_back(tmp_path, record):
    record.write(tmp_path)
    assert RunRecord.read(tmp_path) == record
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]


def test_the_file_says_the_share_to_those_who_read_it_without_us(tmp_path):
    RECORD.write(tmp_path)
    assert json.loads((tmp_path / "record.json").read_text())["parameters"]["share"] == 0.01


def test_numbers_that_json_lacks_become_null(tmp_path):
    odd = replace(
        RECORD, metrics={"reported": {"f1": math.nan, "em": math.inf}}, timings=Timings(train_seconds=math.nan)
    )
    odd.write(tmp_path)
    read = RunRecord.read(tmp_path)
    assert read.metrics == {"reported": {"f1": None, "em": None}}
    assert read.timings == Timings()


def test_a_run_that_nobody_runs_has_died(tmp_path):
    running = replace(SMALL, status="running")
    running.write(tmp_path)
    with locked(tmp_path / RUN_LOCK, "", where=tmp_path, fix=""):
        assert RunRecord.read(tmp_path) == running
    (tmp_path / RUN_LOCK).touch()  # a killed process leaves it
    died = RunRecord.read(tmp_path)
    assert died == replace(SMALL, status="died", reason=died.reason) and "last word" in died.reason
    assert json.loads((tmp_path / "record.json").read_text())["status"] == "running", "to read is not to write"


def test_a_run_that_ends_while_it_is_read_has_not_died(tmp_path, monkeypatch):
    replace(SMALL, status="running").write(tmp_path)
    monkeypatch.setattr("spantune.runs.record.holder", lambda lock: RECORD.write(tmp_path))
    assert RunRecord.read(tmp_path) == RECORD


def test_unknown_keys_are_left_out_at_every_level():
    content = SMALL.to_json() | {"colour": "blue", "timings": {"train_seconds": 1.0, "coffee_seconds": 9}}
    assert RunRecord.from_json(content) == replace(SMALL, timings=Timings(train_seconds=1.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, ["another format", "format 1", "format 2"]),
        ({"format": None}, ["another format", "None"]),
        ({"status": "done"}, ["'status'", "'done'", "finished"]),
        ({"seed": "3"}, ["'seed'", "int", "'3'"]),
        ({"seed": True}, ["'seed'", "True"]),
        ({"timings": {"train_seconds": "long"}}, ["'timings.train_seconds'", "'long'"]),
        ({"metrics": {"reported": [1, 2]}}, ["'metrics.reported'", "[1, 2]"]),
        ({"data": {"train": {"sources": ["x"]}}}, ["incomplete", "'data.train.fingerprint'"]),
        ({"parameters": 5}, ["'parameters'"]),
        ({"notes": ["fine", 3]}, ["'notes.1'", "3"]),
    ],
)
def test_a_wrong_value_is_named(change, words):
    with pytest.raises(RunError) as caught:
        RunRecord.from_json(RECORD.to_json() | change, "runs/x/record.json")
    for word in ["runs/x/record.json", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("key", ["status", "method", "model", "seed"])
def test_a_missing_key_is_named(key):
    content = RECORD.to_json()
    del content[key]
    with pytest.raises(RunError, match=f"the key '{key}'"):
        RunRecord.from_json(content)


@pytest.mark.parametrize("text", ['{"format": 1, "sta', "[1]", "", "\xff", "[" * 100_000])
def test_a_broken_file_is_refused_with_its_name(tmp_path, text):
    (tmp_path / "record.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"record is broken[\s\S]*record\.json"):
        RunRecord.read(tmp_path)


def test_a_missing_run_says_what_stands_there_instead(tmp_path):
    (tmp_path / "file").write_text("")
    for path, found in (
        (tmp_path, "found:    file"),
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "file", "a file"),
    ):
        with pytest.raises(RunError, match=f"no run here[\\s\\S]*{found}"):
            RunRecord.read(path)


def test_the_reported_set_counts_before_the_selection_split():
    assert (RECORD.scored_on, RECORD.metric("f1"), RECORD.metric("recall")) == ("reported", 41.0, None)
    assert replace(RECORD, metrics={"selection": {"f1": 40.5}}).metric("f1") == 40.5
    assert (SMALL.scored_on, SMALL.metric("f1")) == (None, None)


def test_every_field_says_what_it_is():
    import ast
    import inspect

    from spantune.runs import record

    for made in ast.parse(inspect.getsource(record)).body:
        if isinstance(made, ast.ClassDef):
            pairs = zip(made.body, made.body[1:], strict=False)
            named = {one.target.id for one in made.body if isinstance(one, ast.AnnAssign)}
            said = {
                one.target.id for one, after in pairs if isinstance(one, ast.AnnAssign) and isinstance(after, ast.Expr)
            }
            obvious = {"parameters", "timings"}  # their classes say it
            assert named - said <= obvious
    assert len(fields(RunRecord)) > 20
