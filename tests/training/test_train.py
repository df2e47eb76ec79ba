"""A whole run on a tiny encoder: the folder is complete, its numbers are right, and equal settings give equal runs."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import examples_of, history, same_weights, squad, weights, write

from spantune.answering import Predictor
from spantune.cli.main import COMMANDS, main
from spantune.config import TrainConfig
from spantune.config.parse.parse import parse_command
from spantune.data import load_splits
from spantune.errors import ConfigError, RunError, UserError
from spantune.methods import get, methods
from spantune.runs import RunFolder, RunRecord
from spantune.scoring.official_metrics import score
from spantune.training import train
from spantune.training.run_recorder import RunSheet


def selected(run: Path) -> list[float]:
    """F1 on the selection split, in the order of the evaluations."""
    return [row["selection_f1"] for row in history(run) if "selection_f1" in row]


def test_the_folder_is_complete(finished: RunFolder) -> None:
    found = {one.name for one in finished.path.iterdir()}
    assert found == {
        "record.json",
        "config.yaml",
        "adapter",
        "history.jsonl",
        "predictions.json",
        "n_best.json",
        "plots",
    }
    assert {one.name for one in finished.plots.iterdir()} >= {"loss.png", "selection_f1.png"}
    assert (finished.adapter / "spantune.json").is_file() and (finished.adapter / "model.safetensors").is_file()
    record = RunRecord.read(finished.path)
    assert record.status == "finished" and record.reason is None and record.finished_at is not None
    assert record.adapter_bytes == (finished.adapter / "model.safetensors").stat().st_size
    assert record.peak_memory_bytes and record.hardware and record.versions["torch"]


def test_the_reported_numbers_are_those_of_the_predictions(finished: RunFolder, dev_file: str) -> None:
    record, examples = RunRecord.read(finished.path), examples_of(dev_file)
    predictions = json.loads(finished.predictions.read_text())
    assert set(predictions) == {one.id for one in examples}
    scored = score(examples, predictions)
    assert record.metrics["reported"]["em"] == record.metrics["reported"]["exact_match"] == scored["exact_match"]
    assert record.metrics["reported"]["f1"] == scored["f1"]
    assert scored["f1"] > 50, "the tiny task is learned, else these tests compare noise"
    assert all(text in example.context for example, text in zip(examples, predictions.values(), strict=True))


def test_the_best_candidate_is_the_answer(finished: RunFolder) -> None:
    predictions = json.loads(finished.predictions.read_text())
    for id, candidates in json.loads(finished.n_best.read_text()).items():
        assert candidates[0]["text"] == predictions[id]
        assert 1 < len(candidates) <= 20 and sum(one["probability"] for one in candidates) <= 1 + 1e-6


def test_the_counts_are_right(finished: RunFolder, dev_file: str) -> None:
    record, rows = RunRecord.read(finished.path), history(finished.path)
    learned, chosen, reported = (record.data[name] for name in ("train", "selection", "reported"))
    assert learned.examples + chosen.examples == 80 and 16 <= chosen.examples <= 24
    assert reported.examples == 20 and reported.sources == (dev_file,)
    assert all(one.windows is not None and one.windows >= one.examples for one in record.data.values())
    steps = 3 * math.ceil(learned.windows / 8)
    assert record.steps == steps and [row["step"] for row in rows if "loss" in row] == list(range(1, steps + 1))
    assert record.parameters.trainable == sum(one.numel() for one in weights(finished.path).values())
    seconds = record.timings
    assert 0 < seconds.train_seconds < seconds.wall_seconds and 0 < seconds.eval_seconds < seconds.wall_seconds
    assert seconds.examples_per_second == pytest.approx(3 * learned.examples / seconds.train_seconds)


def test_training_and_selection_share_no_context(finished: RunFolder, config: Any) -> None:
    record = RunRecord.read(finished.path)
    splits = load_splits(config(epochs=3), seed=0)
    assert record.data["train"].fingerprint == splits.train.fingerprint
    assert record.data["selection"].fingerprint == splits.selection.fingerprint
    assert not {one.context for one in splits.train.examples} & {one.context for one in splits.selection.examples}


def test_another_reported_set_changes_no_weight(
    finished: RunFolder, config: Any, tmp_path: Path, no_plots: None
) -> None:
    other = write(tmp_path / "other.json", squad(5, seed=7))
    record = train(config(epochs=3, eval_data=(other,)))
    assert same_weights(finished.path, tmp_path / "run") and selected(finished.path) == selected(tmp_path / "run")
    assert record.data["reported"].examples == 10
    assert record.best == RunRecord.read(finished.path).best


def test_the_kept_weights_are_those_of_the_best_evaluation(config: Any, tmp_path: Path, no_plots: None) -> None:
    record = train(config(epochs=3, evals_per_epoch=3, schedule="constant", learning_rate=1e-2))
    seen = selected(tmp_path / "run")
    assert len(seen) == 9
    assert record.best.f1 == max(seen) == record.metrics["selection"]["f1"]
    steps = [row["step"] for row in history(tmp_path / "run") if "selection_f1" in row]
    assert record.best.step == steps[seen.index(max(seen))], "the first of equal ones"


@pytest.mark.parametrize(
    "method", ["lora", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("full", "prompt-encoder"))]
)
def test_one_seed_is_one_result_and_another_another(method: str, config: Any, tmp_path: Path, no_plots: None) -> None:
    shared = {"method": method, "dropout": 0.1, "epochs": 1, "learning_rate": None}
    first, again = train(config("first", **shared)), train(config("again", **shared))
    other = train(config("other", **shared, seed=1))
    assert first.metrics == again.metrics and same_weights(tmp_path / "first", tmp_path / "again")
    assert history(tmp_path / "first") == history(tmp_path / "again")
    assert not same_weights(tmp_path / "first", tmp_path / "other")
    assert other.data["train"].fingerprint != first.data["train"].fingerprint
    assert other.data["reported"].fingerprint == first.data["reported"].fingerprint


def test_the_written_configuration_trains_the_same_again(
    finished: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_plots: None
) -> None:
    again = tmp_path / "again"
    assert main(["train", "--config", str(finished.config), "--output", str(again)]) == 0, capsys.readouterr().err
    assert same_weights(finished.path, again)
    assert RunRecord.read(again).metrics == RunRecord.read(finished.path).metrics


def test_the_written_configuration_holds_the_options(config: Any, tmp_path: Path, no_plots: None) -> None:
    record = train(config(method="lora", options={"rank": 3}, learning_rate=None, epochs=1))
    assert record.options["rank"] == 3 and record.config["learning_rate"] == get("lora").learning_rate
    written = parse_command(COMMANDS["train"], ["--config", str(tmp_path / "run" / "config.yaml")], methods()).config
    assert written.as_dict() == record.config


def test_the_written_configuration_keeps_text_that_looks_like_a_number(tmp_path: Path) -> None:
    given = TrainConfig(experiment="1e3", output="1e-3", data=("1_000", "2e5"), method="lora", options={"rank": 3})
    folder = RunFolder(tmp_path)
    RunSheet(given, folder, None).open()
    again = parse_command(COMMANDS["train"], ["--config", str(folder.config)], methods()).config
    assert (again.experiment, again.output, again.data, again.options["rank"]) == ("1e3", "1e-3", ("1_000", "2e5"), 3)


def test_without_a_selection_split_the_last_weights_stay(config: Any, tmp_path: Path, no_plots: None) -> None:
    record = train(config(selection_fraction=0, epochs=1))
    assert set(record.data) == {"train", "reported"} and set(record.metrics) == {"reported"}
    assert record.best.f1 is None and record.best.step == record.steps == 10
    assert any("no selection split" in note for note in record.notes)
    assert not selected(tmp_path / "run")


def test_without_a_reported_set_the_selection_counts(config: Any, tmp_path: Path, no_plots: None) -> None:
    record = train(config(eval_data=(), epochs=1))
    assert record.scored_on == "selection" and "reported" not in record.data
    assert not (tmp_path / "run" / "predictions.json").exists()


def test_unanswerable_questions(finished_v2: RunFolder) -> None:
    record = RunRecord.read(finished_v2.path)
    examples = examples_of(record.config["eval_data"][0])
    predictions = json.loads(finished_v2.predictions.read_text())
    odds = json.loads(finished_v2.null_odds.read_text())
    settings = json.loads((finished_v2.adapter / "spantune.json").read_text())["settings"]
    assert settings["squad_v2"] is True
    fitted = {(settings["null_threshold"], settings["null_temperature"])}
    assert {(one["null_threshold"], one["null_temperature"]) for one in record.metrics.values()} == fitted
    assert all((predictions[id] == "") == (odds[id] > settings["null_threshold"]) for id in predictions)
    assert "" in predictions.values() and any(predictions.values())
    scored = score(examples, predictions, rules="v2.0")
    assert record.metrics["reported"]["f1"] == scored["f1"] > 60
    assert record.metrics["reported"]["NoAns_f1"] == scored["NoAns_f1"]
    assert record.metrics["reported"]["null_auc"] > 0.6 and 0 <= record.metrics["reported"]["calibration_error"] <= 1


def test_a_model_for_which_it_is_best_to_answer_nothing_answers_nothing(
    config: Any, tmp_path: Path, no_plots: None
) -> None:
    """The official sweep calls that threshold 0, which answers whatever has odds below it."""
    files = {}
    for name, seed in (("data", 0), ("eval_data", 1)):
        content = squad(24, seed=seed, impossible=True)
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for one in paragraph["qas"]:
                    one["question"] = "where ?"  # whether it has an answer cannot be told
                    if one["answers"]:  # and what it is neither
                        one["answers"] = [{"text": paragraph["context"].split()[0], "answer_start": 0}]
        files[name] = (write(tmp_path / f"{name}.json", content),)
    record = train(config(squad_v2=True, epochs=0.1, learning_rate=1e-5, **files))
    predictor = Predictor.load(tmp_path / "run")
    odds = json.loads((tmp_path / "run" / "null_odds.json").read_text())
    assert record.metrics["selection"]["best_f1_thresh"] == 0.0 and min(odds.values()) < 0.0, "the case in question"
    assert set(json.loads((tmp_path / "run" / "predictions.json").read_text()).values()) == {""}
    example = examples_of(files["eval_data"][0])[0]
    assert predictor.ask(example.question, example.context).text == ""


def test_a_finished_run_is_not_trained_again(finished: RunFolder, settings: dict[str, Any], config: Any) -> None:
    before = finished.record.read_bytes()
    with pytest.raises(RunError, match="output folder already holds a run"):
        train(config(epochs=3, output=str(finished.path)))
    assert train(config(epochs=3, output=str(finished.path), resume=True)) == RunRecord.read(finished.path)
    with pytest.raises(ConfigError, match="epochs: 3 then, 5 now"):
        train(config(epochs=5, output=str(finished.path), resume=True))
    assert finished.record.read_bytes() == before


@pytest.mark.parametrize("key", ["model", "data", "eval_data", "also_evaluate"])
def test_a_mistyped_name_does_not_cost_the_run_that_would_be_replaced(
    key: str, finished: RunFolder, config: Any, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished.path, tmp_path / "run"))
    before = sorted(folder.rglob("*"))
    wrong = str(tmp_path / "none.json")
    with pytest.raises(UserError, match=r"none\.json"):
        train(config(overwrite=True, **{key: wrong if key == "model" else (wrong,)}))
    assert sorted(folder.rglob("*")) == before


def test_overwrite_leaves_nothing_of_the_old_run(
    finished: RunFolder, config: Any, tmp_path: Path, no_plots: None
) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    stale = tmp_path / "run" / "evaluations" / "set" / "metrics.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    record = train(config(epochs=1, method="lora", learning_rate=None, overwrite=True))
    assert record.method == "lora" and not stale.exists()
    assert {one.name for one in (tmp_path / "run" / "adapter").glob("*.safetensors")} == {"adapter_model.safetensors"}


@pytest.mark.parametrize("fraction", [0.25, pytest.param(0.0, marks=pytest.mark.exhaustive)])
def test_a_diverged_run_fails_and_leaves_no_model(
    fraction: float, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_plots: None
) -> None:
    from spantune.training import trainer

    real = trainer.span_loss
    monkeypatch.setattr(trainer, "span_loss", lambda *given: real(*given) * float("nan"))
    with pytest.raises(RunError, match="diverged") as raised:
        train(config(epochs=1, selection_fraction=fraction))
    assert "a lower learning rate than 0.003" in str(raised.value)
    record = RunRecord.read(tmp_path / "run")
    assert record.status == "failed" and "diverged" in record.reason
    assert not (tmp_path / "run" / "adapter").exists()
    losses = [row["loss"] for row in history(tmp_path / "run") if "loss" in row]
    assert losses and set(losses) == {None}, "the curve does not hide it"
