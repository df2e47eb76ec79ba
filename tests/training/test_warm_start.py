"""A run that continues another: alone, learning on, and in a study."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import examples_of, make_encoder, same_weights, trained_to_be

from spantune.answering import Predictor
from spantune.config import CompareConfig, PredictorConfig, TrainConfig
from spantune.errors import ConfigError, EncoderError, MethodError, RunError, UserError
from spantune.runs import RunRecord
from spantune.studies import compare
from spantune.training import train

LORA: dict[str, Any] = {"method": "lora", "learning_rate": 1e-2, "options": {"rank": 4, "alpha": 8}}
pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def trained(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run."""
    folder = tmp_path_factory.mktemp("trained") / "lora-0"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("spantune.training.run.run_plots", lambda folder: [])
        train(TrainConfig(**{**settings, **LORA, "output": str(folder)}))
    return folder


@pytest.fixture
def lora(trained: Path, tmp_path: Path) -> str:
    """A copy of it, to do with as one likes."""
    return str(shutil.copytree(trained, tmp_path / "lora-0"))


def logits(run: Path) -> torch.Tensor:
    """Of the first question's answers, as scores."""
    predictor = Predictor.load(run, PredictorConfig(device="cpu", precision="fp32"))
    source = RunRecord.read(run).config["eval_data"][0]
    return torch.tensor([one.score for one in predictor.predict(examples_of(source)[:1])[0].n_best])


def test_a_study_continues_a_run_again_once_it_is_another(
    lora: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "spantune.reports.write_report.Report.write", lambda report: report
    )  # reports have their own tests
    monkeypatch.setattr(import_module("spantune.studies.compare"), "comparison_plots", lambda runs, folder: [])
    shared = {key: value for key, value in settings.items() if key not in ("method", "epochs", "learning_rate")}
    study = CompareConfig(
        **shared,
        methods=("lora",),
        start_from=(lora,),
        epochs=0,
        floor=True,
        output=str(tmp_path / "study"),
        options={"lora": LORA["options"]},
    )
    said: list[str] = []
    made = compare(study, say=said.append)
    assert {one.label: one.trained for one in made.records} == {"LoRA": True, "Unadapted": False}
    compare(study, say=said.append)
    assert "lora, seed 0: done (finished before)" in "\n".join(said)
    (file,) = (Path(lora) / "adapter").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    said.clear()
    trained_to_be(Path(lora))
    compare(study, say=said.append)
    assert f"lora, seed 0: run (changed: trained again since: {lora})" in "\n".join(said)
    shutil.rmtree(lora)
    with pytest.raises(RunError, match="there is no trained model here"):
        compare(study, say=said.append)


def test_several_runs_are_refused(config: Any) -> None:
    """Earlier versions took their mean."""
    with pytest.raises(ConfigError, match="cannot start from several runs") as raised:
        config(start_from=("runs/one", "runs/two"))
    assert (raised.value.where, raised.value.expected) == ("start-from", "one finished run")
    assert raised.value.found == "runs/one, runs/two" and raised.value.fix


@pytest.mark.parametrize(
    "method", ["ia3", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("prefix-tuning", "full"))]
)
def test_a_run_goes_on_where_one_of_its_method_stands(method: str, config: Any, tmp_path: Path) -> None:
    """Without epochs it answers as that one; with them it starts there, under another seed."""
    first = str(tmp_path / "first")
    train(config("first", method=method))
    same = train(config("same", method=method, start_from=(first,), epochs=0))
    on = train(config("on", method=method, start_from=(first,), seed=1))
    assert same.notes[0] == on.notes[0] == f"continues {first}"
    assert same.metrics["reported"] == RunRecord.read(tmp_path / "first").metrics["reported"]
    assert same_weights(tmp_path / "first", tmp_path / "same") and same.trained and same.parameters.trainable > 0
    assert on.steps > 0 and not same_weights(tmp_path / "same", tmp_path / "on")
    assert on.started_from == same.started_from and set(on.started_from) == {first}


def test_one_run_of_other_options_or_another_method(lora: str, config: Any, tmp_path: Path) -> None:
    """What it changed, as far as ranks reach: LoRA taken out of a run of full fine-tuning."""
    other = {**LORA, "options": {"rank": 6, "alpha": 3}}
    more = train(config("more", start_from=(lora,), epochs=0, **other))
    on = train(config("on", start_from=(lora,), **{**other, "epochs": 0.2}))
    assert more.status == "finished" and more.trained and more.steps == 0 and more.label == "LoRA"
    assert more.parameters.trainable > 0 and {"selection", "reported"} <= more.metrics.keys()
    assert on.steps > 0 and not same_weights(tmp_path / "more", tmp_path / "on")
    assert set(more.started_from) == {lora} and more.started_from == on.started_from
    train(config("whole", start_from=(lora,), epochs=0))
    back = train(config("back", start_from=(str(tmp_path / "whole"),), epochs=0, **LORA))
    assert more.notes[0] == f"begins with {lora}; LoRA holds 100.0% of what changed in the encoder"
    assert back.notes[0].startswith(f"begins with {tmp_path / 'whole'}; LoRA holds 100.0%")
    for name in ("more", "whole", "back"):
        torch.testing.assert_close(logits(tmp_path / name), logits(Path(lora)), rtol=1e-3, atol=1e-3)
    with pytest.raises(MethodError, match="cannot hold what the run changed") as refused:
        train(config("small", method="ia3", start_from=(lora,), epochs=0))
    assert refused.value.where == f"start_from: {lora}"
    train(config("prompts", method="prompt-tuning", learning_rate=1e-2, epochs=0.1))
    with pytest.raises(ConfigError, match="with its method and options") as raised:
        train(config("longer", method="prompt-tuning", options={"length": 5}, start_from=(str(tmp_path / "prompts"),)))
    assert "prompts" in str(raised.value)


def test_runs_that_cannot_be_continued(lora: str, config: Any, tmp_path: Path) -> None:
    other = make_encoder(tmp_path / "encoder", seed=5)
    train(config("prompts", method="prompt-tuning", learning_rate=1e-2, epochs=0.1))
    train(config("other", **{**LORA, "model": other, "epochs": 0.1}))
    train(config("whole", model=other, epochs=0.1))
    told: dict[str, tuple[type[UserError], str]] = {
        "prompts": (ConfigError, "changed no weight of the encoder"),
        "other": (EncoderError, "trained on another encoder"),
        "whole": (EncoderError, "from one of another encoder"),
        "gone": (RunError, "there is no trained model here"),
    }
    for name, (kind, text) in told.items():
        with pytest.raises(kind, match=text) as raised:
            train(config("on", start_from=(str(tmp_path / name),), epochs=0, overwrite=True, **LORA))
        assert name in str(raised.value)
    with pytest.raises(ConfigError, match="cannot be written over what it learns from"):
        train(config("lora-0", start_from=(lora,), epochs=0, overwrite=True, **LORA))


def test_a_study_is_refused_before_its_first_run(lora: str, settings: Any, tmp_path: Path) -> None:
    """The second method cannot hold what LoRA changed; without the check the first would have been trained by then."""
    shared = {key: value for key, value in settings.items() if key not in ("method", "learning_rate")}
    study = CompareConfig(
        **shared, methods=("lora", "bitfit"), start_from=(lora,), output=str(tmp_path / "study"), plan=True
    )
    with pytest.raises(MethodError, match="BitFit cannot hold what the run changed") as raised:
        compare(study)
    assert f"start_from: {lora}" in str(raised.value)
    assert not (tmp_path / "study").exists()
