"""A run that is scored by MLQA's rules: its numbers, its record, its model, and what is scored with it later."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import examples_of, squad, write

from spantune.cli.train import summary
from spantune.config import EvaluateConfig, TrainConfig
from spantune.errors import ConfigError
from spantune.runs import RunFolder, RunRecord
from spantune.runs.manifest import read_manifest
from spantune.scoring.official_metrics import headline, score
from spantune.scoring.score_run import evaluate_run
from spantune.training import train
from spantune.web.served_models import named_models


def with_article(content: dict[str, Any], *, in_answers: bool) -> dict[str, Any]:
    """`der` before each year, which the rules for German do not count."""
    content = json.loads(json.dumps(content))  # two questions share their answers
    for (paragraph,) in (article["paragraphs"] for article in content["data"]):
        answers = [answer for qa in paragraph["qas"] for answer in qa["answers"]]
        for answer in answers:
            year, start = answer["text"], answer["answer_start"]
            answer |= {"text": f"der {year}"} if in_answers else {"answer_start": start + len("der ")}
        if answers:
            paragraph["context"] = f"{paragraph['context'][:start]}der {paragraph['context'][start:]}"
    return content


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    made = {"train": (60, 0, True), "dev": (12, 1, False), "more": (12, 2, False)}
    return {
        name: write(
            folder / f"{name}.json",
            with_article(squad(count, seed=seed, impossible=True), in_answers=in_answers),
        )
        for name, (count, seed, in_answers) in made.items()
    }


def trained(settings: dict[str, Any], sources: dict[str, str], output: Path, **changes: Any) -> RunFolder:
    data = {"data": (sources["train"],), "eval_data": (sources["dev"],), "squad_v2": True, "scoring": "mlqa"}
    train(TrainConfig(**{**settings, **data, "output": str(output), **changes}))
    return RunFolder(output)


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    output = tmp_path_factory.mktemp("rule") / "run"
    return trained(settings, sources, output, language="de", epochs=4, also_evaluate=(sources["more"],))


def test_reported_and_further_sets_are_scored_by_the_rule(run: RunFolder, sources: dict[str, str]) -> None:
    record = RunRecord.read(run.path)
    for name, source, folder in (
        ("reported", sources["dev"], run.path),
        ("more", sources["more"], run.evaluations / "more"),
    ):
        answers = json.loads((folder / "predictions.json").read_text())
        expected = headline(score(examples_of(source), answers, rules="v2.0", language="de"))
        assert {key: record.metrics[name][key] for key in expected} == expected
        assert expected != headline(score(examples_of(source), answers, rules="v2.0"))


def test_record_and_model_name_it(run: RunFolder) -> None:
    record = RunRecord.read(run.path)
    assert (record.config["scoring"], record.language) == ("mlqa", "de")
    assert read_manifest(run.adapter).settings.language == "de"
    assert named_models([run.path])[0].language == "de"
    assert "MLQA's rules for de)" in summary(record)


def test_it_is_scored_by_another_rule_on_request(run: RunFolder, sources: dict[str, str]) -> None:
    asked = EvaluateConfig(runs=("run",), data=(sources["dev"],), device="cpu", precision="fp32")
    official = evaluate_run(str(run.path), asked)
    assert (official["scoring"], official["language"]) == ("squad", None)
    same = evaluate_run(str(run.path), replace(asked, scoring="mlqa", language="de"))
    assert (same["scoring"], same["language"]) == ("mlqa", "de")
    record = RunRecord.read(run.path)
    assert same["f1"] == record.metrics["reported"]["f1"] > official["f1"]


def test_it_is_not_gone_on_with_by_another_rule(run: RunFolder) -> None:
    record = RunRecord.read(run.path)
    known = {key: value for key, value in record.config.items() if key in TrainConfig.__dataclass_fields__}
    with pytest.raises(ConfigError, match="scoring: 'mlqa' then, 'squad' now"):
        train(TrainConfig(**{**known, "scoring": "squad", "language": None, "resume": True}))


def test_a_language_of_another_script_is_noted(
    settings: dict[str, Any], sources: dict[str, str], run: RunFolder, tmp_path: Path
) -> None:
    said = "the answers are written in Latin, which zh is not"
    untrained = trained(settings, sources, tmp_path / "run", language="zh", epochs=0)
    assert [said in note for note in RunRecord.read(untrained.path).notes].count(True) == 1
    assert not any("Latin" in note for note in RunRecord.read(run.path).notes)
    asked = EvaluateConfig(runs=("run",), data=(sources["train"],), device="cpu", precision="fp32")
    with pytest.warns(UserWarning, match=said):
        evaluate_run(str(run.path), replace(asked, scoring="mlqa", language="zh"))
