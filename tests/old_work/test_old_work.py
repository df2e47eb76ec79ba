"""What an earlier version wrote still loads, answers, resumes and reports, by the command line."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import without_plots

from spantune.cli.main import main

ARCHIVES = sorted(Path(__file__).parent.glob("version-*.tar.xz"))
RUNS = (
    *("lora", "adalora", "v2"),
    *(pytest.param(run, marks=pytest.mark.exhaustive) for run in ("prefix-tuning", "full", "continued")),
)
PLAIN = ("--device", "cpu", "--precision", "fp32")
SETTINGS = (
    *("--methods", "lora", "ia3", "--seeds", "0", "--model", "encoder", "--data", "train.json"),
    *("--eval-data", "dev.json", "--max-length", "48", "--doc-stride", "12", "--batch-size", "8", "--device", "cpu"),
    *("--precision", "fp32", "--selection-fraction", "0.25", "--no-mlflow", "--cost-seconds", "0", "--epochs", "2"),
    *("--sweep", "learning-rate", "--sweep-examples", "40"),
)


@pytest.fixture(scope="session", params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def here(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the old work in the current folder."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".json", ".yaml") and "@HERE@" in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace("@HERE@", str(tmp_path)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def read(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("run", RUNS)
def test_a_run_answers_as_it_did(here: Path, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    dev = "dev-v2.json" if run == "v2" else "dev.json"
    assert main(["predict", f"runs/{run}", "--data", dev, "--output", "again.json", *PLAIN]) == 0
    assert read("again.json") == read(f"runs/{run}/predictions.json")
    capsys.readouterr()
    assert main(["evaluate", f"runs/{run}", "--data", dev, *PLAIN, "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)[f"runs/{run}"]
    recorded = read(f"runs/{run}/record.json")["metrics"]["reported"]
    assert {key: scored[key] for key in ("em", "f1")} == pytest.approx({key: recorded[key] for key in ("em", "f1")})


@pytest.mark.parametrize("run", [pytest.param("lora", marks=pytest.mark.exhaustive), "continued"])
def test_a_finished_run_stays_finished(here: Path, run: str) -> None:
    before = read(f"runs/{run}/record.json")
    assert main(["train", "--config", f"runs/{run}/config.yaml", "--resume"]) == 0
    after = read(f"runs/{run}/record.json")
    assert all(after[key] == before[key] for key in ("status", "metrics", "started_at", "finished_at"))


def test_a_stopped_run_goes_on_from_its_checkpoint(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    (checkpoint,) = Path("runs/stopped/checkpoints").iterdir()
    done = int(checkpoint.name.removeprefix("checkpoint-"))
    words = ["--config", "runs/stopped/config.yaml", "--resume", "--checkpoint-seconds", "600"]
    assert main(["train", *words]) == 0
    record = read("runs/stopped/record.json")
    assert (record["status"], record["resumed"]) == ("finished", 1)
    steps = [json.loads(line)["step"] for line in Path("runs/stopped/history.jsonl").read_text().splitlines()]
    assert steps[0] < done < record["steps"] == max(steps) and steps == sorted(steps)


def starts(study: str) -> dict[str, str]:
    """When each run of a study began that has ended well."""
    records = {path.parent.as_posix(): read(str(path)) for path in sorted(Path(study).rglob("record.json"))}
    return {name: record["started_at"] for name, record in records.items() if record["status"] == "finished"}


def test_a_study_is_reported_as_it_was(here: Path) -> None:
    tables = {name: Path("studies/whole", name).read_text(encoding="utf-8") for name in ("table.csv", "table.md")}
    assert main(["report", "studies/whole"]) == 0
    assert tables == {name: Path("studies/whole", name).read_text(encoding="utf-8") for name in tables}
    assert main(["recommend", "studies/whole"]) == 0


@pytest.mark.parametrize(("study", "runs"), [pytest.param("whole", 9, marks=pytest.mark.exhaustive), ("stopped", 9)])
def test_a_study_goes_on_and_trains_nothing_again(
    here: Path, study: str, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    before = starts(f"studies/{study}")
    assert main(["compare", *SETTINGS, "--output", f"studies/{study}"]) == 0
    after = starts(f"studies/{study}")
    assert before.items() <= after.items() and len(after) == runs
    assert len(before) == (9 if study == "whole" else 8)
