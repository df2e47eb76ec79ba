"""What is measured of a trained model: further sets, meaning, speed; at the run's end, or of a finished run."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import examples_of, squad, write

from spantune.answering import Predictor
from spantune.config import TrainConfig
from spantune.errors import DataError
from spantune.runs import RunFolder, RunRecord
from spantune.scoring.domains import drops
from spantune.scoring.official_metrics import score
from spantune.scoring.scores import score_runs
from spantune.training import train
from spantune.training.run_settings import resolve, unmeasured


def embed(texts: Sequence[str]) -> np.ndarray:
    """Equal texts, and those of equal first letters, mean the same."""
    vectors = np.zeros((len(texts), 128))
    for row, text in enumerate(texts):
        vectors[row, ord(text[0]) % 128] = 1.0
    return vectors


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two further sets; one has the name of a set that every run has."""
    folder = tmp_path_factory.mktemp("further")
    return write(folder / "other.json", squad(8, seed=5)), write(folder / "train.json", squad(4, seed=6))


@pytest.fixture(scope="module")
def whole(settings: dict[str, Any], further: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A LoRA run of which everything was measured at its end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spantune.training.extra_measurements.sentence_encoder", lambda **_: embed)
        patch.setattr("spantune.training.run.run_plots", lambda folder: [])
        changes = {"method": "lora", "learning_rate": 1e-2, "output": str(folder), "epochs": 1}
        asked = {"also_evaluate": further, "semantic": True, "cost_seconds": 0.01}
        train(TrainConfig(**{**settings, **changes, **asked}))
    return RunFolder(folder)


def test_further_sets_stand_beside_the_runs_own(whole: RunFolder, further: tuple[str, str], dev_file: str) -> None:
    record = RunRecord.read(whole.path)
    first, second = record.further
    assert first == "other" and second.startswith("train-"), "a name of the run's own sets is not taken"
    assert {one.name for one in whole.evaluations.iterdir()} == {first, second}
    for name, source in zip(record.further, further, strict=True):
        answers = json.loads((whole.evaluations / name / "predictions.json").read_text())
        scored, found = score(examples_of(source), answers), record.metrics[name]
        assert (found["em"], found["f1"]) == (scored["exact_match"], scored["f1"])
        assert record.data[name].sources == (source,) and record.data[name].examples == len(answers)
        reported = json.loads(whole.predictions.read_text())
        sets = ((dev_file, reported), (source, answers))
        one, other = (score_runs(examples_of(data), {"run": [given]}) for data, given in sets)
        drop = next(each for each in drops(one, other) if each.metric == "f1")
        assert found["f1_drop"] == pytest.approx(record.metrics["reported"]["f1"] - found["f1"]) == drop.points
        assert (found["f1_drop_low"], found["f1_drop_high"]) == drop.interval


def test_meaning_is_scored_on_every_set_but_the_selection_split(whole: RunFolder) -> None:
    record = RunRecord.read(whole.path)
    assert {name for name, found in record.metrics.items() if "semantic" in found} == {"reported", *record.further}
    found, questions = record.metrics["reported"], record.data["reported"].examples
    assert found["em_wrong"] == pytest.approx(questions * (1 - found["em"] / 100)) and found["em_wrong"] > 0
    assert 0 <= found["right_in_meaning"] <= found["em_wrong"] and found["em"] <= found["semantic"] <= 100


def test_speed_is_measured_unmerged_and_merged(whole: RunFolder) -> None:
    record = RunRecord.read(whole.path)
    assert set(record.answering) == {"unmerged", "merged"} and record.serving is record.answering["merged"]
    for one in record.answering.values():
        assert 0 < one.latency_p50_ms <= one.latency_p95_ms and one.questions_per_second > 0 and one.rounds >= 1


def test_the_saved_model_is_not_the_merged_one(whole: RunFolder) -> None:
    """Speed is measured on the run's own model, which is saved before."""
    examples = Predictor.load(whole.path).predict(examples_of(RunRecord.read(whole.path).data["reported"].sources[0]))
    assert {one.id: one.text for one in examples} == json.loads(whole.predictions.read_text())


def test_a_finished_run_is_completed_and_not_trained_again(
    finished: RunFolder,
    config: Any,
    further: tuple[str, str],
    whole: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    monkeypatch.setattr("spantune.training.extra_measurements.sentence_encoder", lambda **_: embed)
    monkeypatch.setattr("spantune.training.run._trainer", lambda *_: pytest.fail("it was trained"))
    asked = config(epochs=3, resume=True, also_evaluate=further[:1], semantic=True, cost_seconds=0.01)
    before = RunRecord.read(tmp_path / "run")
    lacking = unmeasured(resolve(asked), before)
    assert lacking == (f"the set {further[0]}", "meaning (reported)", "answering speed")
    record = train(asked)
    assert record == RunRecord.read(tmp_path / "run") and unmeasured(resolve(asked), record) == ()
    assert set(record.answering) == {"unmerged"} and record.further == ("other",) and record.notes == before.notes
    assert record.metrics["selection"] == before.metrics["selection"]
    assert record.metrics["reported"].items() > before.metrics["reported"].items()
    assert record.timings == before.timings and record.config["semantic"] is True

    monkeypatch.setattr("spantune.training.extra_measurements.measured", lambda *_: pytest.fail("nothing is lacking"))
    assert train(asked) == record
    assert train(dataclasses.replace(asked, semantic=False, also_evaluate=(), cost_seconds=0.0)) == record


@pytest.mark.parametrize("part", ["cpu", "cores", "gpu"])
def test_speed_that_was_measured_on_another_machine_says_so(
    part: str, finished: RunFolder, config: Any, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    before = RunRecord.read(tmp_path / "run")
    dataclasses.replace(before, hardware={**before.hardware, part: "another"}).write(tmp_path / "run")
    *notes, told = train(config(epochs=3, resume=True, cost_seconds=0.01)).notes
    assert tuple(notes) == before.notes and before.hardware["cpu"] in told
    assert told.startswith("answering speed was measured on another machine: cpu ")


def test_a_finished_run_whose_reported_set_changed_is_refused(finished: RunFolder, config: Any, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    record = RunRecord.read(tmp_path / "run")
    other = dataclasses.replace(record.data["reported"], fingerprint="0" * 64)
    dataclasses.replace(record, data={**record.data, "reported": other}).write(tmp_path / "run")
    with pytest.raises(DataError, match="the reported set has changed"):
        train(config(epochs=3, resume=True, cost_seconds=0.01))


@pytest.mark.parametrize(("content", "message"), [(None, "missing file"), (True, "4 of 8 questions have no answer")])
def test_a_wrong_further_set_is_refused_before_anything_is_trained(
    content: bool | None, message: str, config: Any, tmp_path: Path
) -> None:
    path = tmp_path / "further.json"
    if content:
        write(path, squad(4, impossible=True))
    with pytest.raises(DataError, match=message):
        train(config(also_evaluate=(str(path),)))
    record = RunRecord.read(tmp_path / "run")
    assert record.status == "failed" and record.steps == 0 and message in (record.reason or "")
