"""Every file of `configs/` is understood, and trains a tiny encoder of its family for a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from spantune.cli.main import COMMANDS
from spantune.config import RunConfig, TrainConfig
from spantune.config.parse.parse import parse_command
from spantune.methods import get, methods
from spantune.runs import RunRecord

FOLDER = Path(__file__).parents[2] / "configs"
STUDIES = sorted(path for path in FOLDER.rglob("*.yaml") if "methods:" in path.read_text(encoding="utf-8"))
RUNS = sorted(set(FOLDER.rglob("*.yaml")) - set(STUDIES))
OTHERS = [path for path in RUNS if path.stem.endswith(("-usual", "-original"))]


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def meant(path: Path) -> Any:
    """The configuration that the file stands for on the command line."""
    return parse_command(COMMANDS["compare" if path in STUDIES else "train"], ["--config", str(path)], methods()).config


def small(path: Path, tiny_of: Callable[[str], Path], train: str, dev: str, output: Path) -> Any:
    """The same with a tiny encoder and tiny data."""
    config = meant(path)
    family = config.model.partition("-")[0]
    return replace(
        config,
        model=str(tiny_of(family if family in ("bert", "distilbert") else "bert")),
        data=(train,),
        eval_data=(dev,),
        also_evaluate=(),
        output=str(output),
        max_length=40,
        doc_stride=12,
        max_train_examples=16,
        max_eval_examples=4,
        selection_fraction=0.2,
        epochs=1.0,
        device="cpu",
        mlflow=False,
        cost_seconds=0.0,
    )


def test_there_are_some() -> None:
    assert len(RUNS) >= 16 and len(STUDIES) >= 5 and len(OTHERS) >= 8


# One of each kind; those that name nothing but the method are trained often enough elsewhere.
SHORT = ("lora-usual", "lora-original")
TRAINED = [pytest.param(path, marks=() if path.stem in SHORT else pytest.mark.slow, id=name_of(path)) for path in RUNS]


@pytest.mark.parametrize("path", TRAINED)
def test_a_run_trains(
    path: Path,
    tiny_of: Callable[[str], Path],
    train_file: str,
    dev_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spantune.training import train

    monkeypatch.setattr("spantune.training.run.run_plots", lambda folder: [])
    config = small(path, tiny_of, train_file, dev_file, tmp_path / "run")
    train(config)
    record = RunRecord.read(tmp_path / "run")
    assert record.status == "finished"
    assert record.config["learning_rate"] == (config.learning_rate or get(config.method).learning_rate)


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_a_run_is_understood(path: Path) -> None:
    assert meant(path).method == path.stem.removesuffix("-usual").removesuffix("-original")


@pytest.mark.parametrize("path", OTHERS, ids=name_of)
def test_the_usual_settings_stand_beside_ours(path: Path) -> None:
    """The same model, method and data, so that only the settings differ."""
    ours = meant(path.with_name(path.name.replace("-usual", "").replace("-original", "")))
    theirs = meant(path)
    for key in ("model", "method", "data", "epochs"):
        assert getattr(ours, key) == getattr(theirs, key), key
    assert theirs.learning_rate in (2e-5, 5e-5) and theirs.output != ours.output


@pytest.mark.parametrize("path", STUDIES, ids=name_of)
def test_a_study_is_understood(path: Path) -> None:
    config = meant(path)
    assert set(config.methods) <= set(methods()) and config.output.startswith("studies/")


@pytest.mark.slow  # a process for each run
@pytest.mark.parametrize("path", [one for one in STUDIES if one.parent != FOLDER], ids=name_of)
def test_a_study_runs(
    path: Path, tiny_of: Callable[[str], Path], train_file: str, dev_file: str, tmp_path: Path
) -> None:
    from spantune.studies import compare
    from spantune.training import train

    config = small(path, tiny_of, train_file, dev_file, tmp_path / "study")
    alone = {"teachers": (), "start_from": ()}
    shared = {one.name: getattr(config, one.name) for one in fields(RunConfig)} | alone
    for key in (key for key in alone if getattr(config, key)):  # those that it names come from another study
        runs = tuple(str(tmp_path / f"{key}-{seed}") for seed in range(len(getattr(config, key))))
        for seed, output in enumerate(runs):
            train(TrainConfig(**shared | {"seed": seed}, method=config.methods[0], output=output))
        config = replace(config, **{key: runs})
    study = compare(replace(config, seeds=(0,), sweep_examples=8, sweep_extend=0))
    assert {record.config["method"] for record in study.records} == set(config.methods) and not study.failed
