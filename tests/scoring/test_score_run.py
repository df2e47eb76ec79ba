"""`evaluate_run`: the record's numbers on the same data, files in the run folder, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import examples_of, squad, without_digests, write

from spantune import zoo
from spantune.config import EvaluateConfig
from spantune.errors import DataError, RunError
from spantune.runs import RunFolder, RunRecord
from spantune.scoring.official_metrics import score
from spantune.scoring.score_run import _slug, evaluate_run


@pytest.fixture(scope="module")
def finished(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy: scores are written into the folder."""
    return RunFolder(Path(shutil.copytree(finished.path, tmp_path_factory.mktemp("copy") / "v1")))


@pytest.fixture(scope="module")
def finished_v2(finished_v2: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(Path(shutil.copytree(finished_v2.path, tmp_path_factory.mktemp("copy") / "v2")))


def settings(*data: str, **changes: Any) -> EvaluateConfig:
    return EvaluateConfig(runs=("run",), data=data, device="cpu", precision="fp32", **changes)


def test_it_repeats_the_records_numbers(finished: RunFolder, dev_file: str) -> None:
    result = evaluate_run(str(finished.path), settings(dev_file))
    record = RunRecord.read(finished.path)
    for name, value in record.metrics["reported"].items():
        assert result[name] == value, name
    assert result["fingerprint"] == record.data["reported"].fingerprint
    folder = finished.evaluations / "dev"
    assert {one.name for one in folder.iterdir()} == {"metrics.json", "predictions.json", "n_best.json"}
    assert json.loads((folder / "metrics.json").read_text()) == result
    assert (folder / "predictions.json").read_bytes() == finished.predictions.read_bytes()
    assert (folder / "n_best.json").read_bytes() == finished.n_best.read_bytes()


def test_with_unanswerable_questions(finished_v2: RunFolder) -> None:
    record = RunRecord.read(finished_v2.path)
    (data,) = record.config["eval_data"]
    result = evaluate_run(str(finished_v2.path), settings(data))
    for name, value in record.metrics["reported"].items():
        assert result[name] == value, name
    folder = finished_v2.evaluations / "dev"
    assert (folder / "null_odds.json").read_bytes() == finished_v2.null_odds.read_bytes()
    scored = score(examples_of(data), json.loads((folder / "predictions.json").read_text()), rules="v2.0")
    assert {key: result[key] for key in scored} == scored


def test_answerable_questions_are_scored_by_a_run_that_may_answer_nothing(
    finished_v2: RunFolder, dev_file: str
) -> None:
    assert evaluate_run(str(finished_v2.path), settings(dev_file))["total"] == 20


def test_unanswerable_questions_are_refused_by_a_run_that_never_learned_them(
    finished: RunFolder, tmp_path: Path
) -> None:
    source = write(tmp_path / "v2.json", squad(4, impossible=True))
    with pytest.raises(DataError, match="4 of 8 questions have no answer") as raised:
        evaluate_run(str(finished.path), settings(source))
    assert not (finished.evaluations / "v2").exists()
    assert "spantune evaluate" not in str(raised.value)


def test_limits_and_several_sources(finished: RunFolder, dev_file: str, tmp_path: Path) -> None:
    other = write(tmp_path / "other.json", squad(3, seed=4))
    both = evaluate_run(str(finished.path), settings(dev_file, other))
    assert both["total"] == 26 and both["data"] == [dev_file, other]
    some = evaluate_run(str(finished.path), settings(dev_file, max_eval_examples=7))
    assert some["total"] == 7
    again = evaluate_run(str(finished.path), settings(dev_file, max_eval_examples=7, seed=1))
    assert again["fingerprint"] != some["fingerprint"]
    assert {one.name for one in finished.evaluations.iterdir()} >= {"dev", "dev+other"}


def test_two_sets_of_one_name_do_not_overwrite_each_other(finished: RunFolder, tmp_path: Path) -> None:
    results = []
    for name, seed in (("one", 5), ("two", 6)):
        (tmp_path / name).mkdir()
        results.append(
            evaluate_run(str(finished.path), settings(write(tmp_path / name / "test.json", squad(3, seed=seed))))
        )
    kept = [json.loads(path.read_text()) for path in finished.evaluations.glob("test*/metrics.json")]
    assert {one["fingerprint"] for one in kept} == {one["fingerprint"] for one in results}


def test_scores_of_the_zoo_stay_with_the_user(
    finished: RunFolder, dev_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.path, tmp_path / "package" / "full", ignore=shutil.ignore_patterns("evaluations"))
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        evaluate_run("zoo/full", settings(dev_file, max_eval_examples=4))
    assert (tmp_path / "runs" / "zoo-full" / "evaluations" / "dev" / "metrics.json").is_file()
    assert not list(tmp_path.glob("package/full/evaluations"))


def test_an_unfinished_run_is_refused_before_anything_is_written(tmp_path: Path, dev_file: str) -> None:
    with pytest.raises(RunError, match="there is no trained model here"):
        evaluate_run(str(tmp_path), settings(dev_file))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("/data/dev-v1.1.json", "dev-v1.1"),
        ("squad#validation", "squad_validation"),
        ("sample", "sample"),
        ("a b/ç d.json", "ç_d"),
        ("///", "data"),
        ("../..", "data"),
        ("..", "data"),
        ("/data/squad-v1.1", "squad-v1.1"),
        ("user/set#validation", "set_validation"),
        ("/data/a.json + /data/b.csv", "a+b"),
        ("x" * 300, "x" * 80),
    ],
)
def test_a_sets_name_as_a_folders_name(name: str, slug: str) -> None:
    assert _slug(name) == slug
    assert "/" not in slug and slug not in ("", ".", "..")


def test_a_model_of_before_the_temperature_still_answers(finished_v2: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(finished_v2.path, tmp_path / "run")
    manifest = tmp_path / "run" / "adapter" / "spantune.json"
    content = json.loads(manifest.read_text())
    del content["settings"]["null_temperature"]
    manifest.write_text(json.dumps(content))
    without_digests(manifest.parent)
    record = tmp_path / "run" / "record.json"
    record.write_text(
        json.dumps({key: value for key, value in json.loads(record.read_text()).items() if key != "files"})
    )
    found = evaluate_run(str(tmp_path / "run"), settings(*RunRecord.read(finished_v2.path).config["eval_data"]))
    kept = RunRecord.read(finished_v2.path).metrics["reported"]
    assert found["null_temperature"] == 1 and found["f1"] == kept["f1"]
    assert found["calibration_error_scaled"] == found["calibration_error"] == kept["calibration_error"]


def test_meaning_where_it_is_asked_for(finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = squad(6, seed=8)
    for article in content["data"][:3]:  # the first word is accepted, which the model does not answer
        (paragraph,) = article["paragraphs"]
        for one in paragraph["qas"]:
            one["answers"] = [{"text": paragraph["context"].split()[0], "answer_start": 0}]
    source = write(tmp_path / "words.json", content)
    monkeypatch.setattr("spantune.scoring.score_run.sentence_encoder", lambda **_: lambda texts: np.eye(len(texts)))
    found = evaluate_run(str(finished.path), settings(source, semantic=True))
    assert found["em_wrong"] == pytest.approx(found["total"] * (1 - found["em"] / 100)) and 6 <= found["em_wrong"] < 12
    assert found["right_in_meaning"] == 0 and found["semantic"] == pytest.approx(found["em"])
    assert "semantic" not in evaluate_run(str(finished.path), settings(source))
