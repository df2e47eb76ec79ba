"""`recommend` on study folders made by hand: reasons, statistics, the command, what is said where nothing fits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import examples_of, squad, write

from spantune.cli import train as train_command
from spantune.cli.main import main
from spantune.config import AFTERWARDS, BOOKKEEPING, RecommendConfig, TrainConfig
from spantune.config.parse.parse import parse_command
from spantune.data import load_splits
from spantune.errors import ConfigError, RunError
from spantune.methods import methods
from spantune.runs import AnswerSpeed, DataRecord, ParameterCount, RunFolder, RunRecord, Timings
from spantune.studies.command_lines import train_words
from spantune.studies.recommend import recommend
from spantune.studies.record import FinalRun, StudyRecord
from spantune.training.run_settings import resolve as resolved

MADE: Mapping[str, tuple[int, int, float, float]] = {  # every n-th answer is wrong; bytes, milliseconds, seconds
    "full": (10, 90_000_000, 20.0, 600.0),
    "lora": (9, 2_700_000, 20.5, 590.0),
    "ia3": (2, 60_000, 21.0, 400.0),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods with one seed, LoRA with two; 160 questions on 80 contexts."""
    folder = tmp_path_factory.mktemp("study")
    data = {
        "data": (write(folder / "train.json", squad(4)),),
        "eval_data": (write(folder / "dev.json", squad(80, seed=1)),),
    }
    for method, (wrong, size, latency, seconds) in MADE.items():
        for seed in (0, 1) if method == "lora" else (0,):
            config = resolved(TrainConfig(method=method, seed=seed, output=str(folder / f"{method}-{seed}"), **data))
            _finish(config, wrong, size, latency, seconds)
    return folder


def _finish(config: TrainConfig, wrong: int, size: int, latency: float, seconds: float) -> None:
    folder = RunFolder(Path(config.output))
    folder.path.mkdir()
    examples = examples_of(config.eval_data[0])
    answers = {one.id: one.answers[0].text for one in examples}
    answers |= {one.id: "mill" for one in examples[config.seed :: wrong]}
    folder.predictions.write_text(json.dumps(answers))
    score = 100 * sum(answers[one.id] != "mill" for one in examples) / len(examples)
    reported = load_splits(config, 0).reported
    assert reported is not None
    RunRecord(
        "finished", config.method, methods()[config.method].label, config.model, config.seed,
        config=config.as_dict(), options=config.options,
        data={"reported": DataRecord(config.eval_data, reported.fingerprint, len(examples))},
        parameters=ParameterCount(size // 4, 23_000_000), adapter_bytes=size, timings=Timings(train_seconds=seconds),
        metrics={"reported": {"em": score, "f1": score}},
        answering={"unmerged": AnswerSpeed(latency, latency, 50.0, 20, 3)},
    ).write(folder.path)  # fmt: skip


def text(study: Path, **limits: Any) -> str:
    return recommend(RecommendConfig(str(study), **limits)).text(" ".join)


def test_the_cheapest_of_the_tied_and_why(study: Path) -> None:
    said = text(study)
    assert said.startswith("LoRA: F1 ") and "over 2 runs, adapter 2.7 MB, a question 20.5 ms, training 9.8 min" in said
    assert "3 methods, no limits. All were scored on 160 questions." in said
    assert "The highest F1 has Full fine-tuning" in said and "160 questions cannot tell the two apart" in said
    assert "Of the 2 methods that are tied, LoRA is the cheapest" in said
    assert "adapter 90.0 MB (33×), a question 20 ms (about the same), training 10 min (about the same)" in said
    assert "The next best is Full fine-tuning: F1" in said and ", tied)" in said
    assert "Other trade-offs that nothing within the limits beats:\n  (IA)³: F1" in said
    assert said.rstrip().splitlines()[-1].strip().startswith("spantune train --method lora --data ")


def test_limits_say_what_they_exclude(study: Path) -> None:
    said = text(study, max_adapter_mb=1.0)
    assert said.startswith("(IA)³") and "1 of 3 methods are within the limits (--max-adapter-mb 1)" in said
    assert "It has the highest F1 of these." in said and "The next best" not in said
    excluded = said.split("Excluded:\n")[1].splitlines()
    assert excluded[0].startswith("  LoRA: F1") and "adapter 2.7 MB (--max-adapter-mb 1)" in excluded[0]
    assert excluded[1].startswith("  Full fine-tuning") and ", 95% +" in excluded[1] and "tied" not in excluded[1]
    assert text(study, max_train_minutes=7.0).startswith("(IA)³") and text(study, min_f1=60.0).startswith("LoRA")
    assert text(study, max_latency_ms=20.2).startswith("Full") and text(study, max_trainable=20_000).startswith("(IA)³")


def test_the_command_trains_the_same_run(study: Path) -> None:
    found = recommend(RecommendConfig(str(study)))
    assert found.command is not None and found.command[:2] == ["spantune", "train"]
    again = resolved(parse_command(train_command.COMMAND, found.command[2:], methods()).config)
    before = RunRecord.read(study / "lora-0").config
    apart = BOOKKEEPING | AFTERWARDS
    assert {key: value for key, value in again.as_dict().items() if key not in apart} == {
        key: value for key, value in before.items() if key not in apart
    }


def test_every_kind_of_setting_comes_back_from_the_command(tmp_path: Path) -> None:
    config = resolved(
        TrainConfig(
            method="lora", options={"rank": 8}, seed=3, learning_rate=5e-5, epochs=2.5, squad_v2=True,
            early_stopping=2, columns=("question=frage", "context=text"), schedule="cosine", max_length=256,
            data=("a b.json*2",), model="bert-base-uncased",
        )
    )  # fmt: skip
    record = RunRecord("finished", "lora", "LoRA", config.model, 3, config=config.as_dict(), options=config.options)
    words = train_words(record)
    assert resolved(parse_command(train_command.COMMAND, words[2:], methods()).config) == config
    assert "--lora.rank" in words and "--lora.alpha" not in words and "--learning-rate" in words


def test_nothing_within_the_limits(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(study), "--max-adapter-mb", "0.01"]) == 2
    said = capsys.readouterr().err
    assert "--max-adapter-mb 0.01 excludes all. The nearest is (IA)³: 60.0 kB for --max-adapter-mb 0.01" in said
    assert main(["recommend", str(study), "--max-adapter-mb", "1", "--min-f1", "80"]) == 2
    assert "none keeps --max-adapter-mb 1, --min-f1 80 together" in capsys.readouterr().err
    assert main(["recommend", str(study), "--max-latency-ms", "1", "--min-f1", "99", "--json"]) == 2
    out, err = capsys.readouterr()
    assert "each exclude all" in err and json.loads(out)["choice"] is None
    assert json.loads(out)["excluded"]["LoRA"] == ["--max-latency-ms 1", "--min-f1 99"]


def test_json_for_programs(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", str(study), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["choice"], found["best"], found["next_best"]) == ("LoRA", "Full fine-tuning", "Full fine-tuning")
    assert found["tied"] == ["LoRA", "Full fine-tuning"] and found["pareto"][-1] == "(IA)³"
    assert found["candidates"]["(IA)³"]["adapter_mb"] == 0.06 and found["command"][0] == "spantune"


def test_unfinished_runs_and_data_that_is_gone(study: Path, tmp_path: Path) -> None:

    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    failed = replace(RunRecord.read(copy / "ia3-0"), status="failed", reason="out of memory\nat once")
    failed.write(copy / "ia3-0")
    assert "Not considered:\n  (IA)³, seed 0: failed: out of memory" in text(copy)
    for one in ("full-0", "lora-0", "lora-1"):
        record = RunRecord.read(copy / one)
        gone = {**record.config, "eval_data": [str(tmp_path / "gone.json")]}
        replace(record, config=gone).write(copy / one)
    said = text(copy)
    assert "Without statistics, since the reported set" in said and said.count("95%") == 0


def test_neither_a_leftover_run_nor_the_floor_is_recommended(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    record = RunRecord.read(copy / "full-0")
    replace(record, label="Unadapted", config={**record.config, "epochs": 0.0}).write(copy / "full-0")
    named = [FinalRun(name, "minilm", 0, f"{name}-0", "finished") for name in ("full", "ia3")]
    StudyRecord(copy, "finished", runs=tuple(named)).write()
    assert [one.label for one in recommend(RecommendConfig(str(copy))).candidates] == ["(IA)³"]


def test_a_limit_on_what_was_not_measured_says_how_to_measure_it(study: Path, tmp_path: Path) -> None:

    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    for folder in copy.glob("*-?"):
        replace(RunRecord.read(folder), answering={}).write(folder)
    with pytest.raises(RunError, match="not measured for --max-latency-ms 30") as raised:
        from spantune.cli.recommend import run

        run(RecommendConfig(str(copy), max_latency_ms=30.0))
    assert "`spantune compare` on the study again" in str(raised.value)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_study(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="there is no study here") as raised:
        recommend(RecommendConfig(str(tmp_path / name)))
    assert "name the study folder that `spantune compare` wrote" in str(raised.value)


def test_an_f1_of_zero_was_measured(study: Path) -> None:
    found = recommend(RecommendConfig(str(study), min_f1=99.9))
    useless = tuple(replace(one, f1=replace(one.f1, mean=0.0)) for one in found.candidates)
    assert replace(found, candidates=useless).remedy() == "a wider limit, or more methods in the study"


def test_wrong_limits_are_named_together() -> None:
    with pytest.raises(ConfigError, match="STUDY: expected") as raised:
        RecommendConfig("", max_adapter_mb=0.0, min_f1=101.0)
    assert "max-adapter-mb: expected above 0" in str(raised.value) and "at most 100" in str(raised.value)
