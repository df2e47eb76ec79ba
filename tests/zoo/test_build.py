"""Putting a finished run into the zoo."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import without_plots

from spantune import zoo
from spantune.answering import Predictor
from spantune.config import TrainConfig
from spantune.data import load_corpus
from spantune.errors import RunError
from spantune.runs import RunFolder, RunRecord
from spantune.training import train


@pytest.fixture(scope="module")
def build() -> ModuleType:
    path = Path(__file__).parents[2] / "zoo" / "build.py"
    spec = importlib.util.spec_from_file_location("zoo_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lora(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "lora"
    with pytest.MonkeyPatch.context() as patched:
        without_plots(patched)
        train(TrainConfig(**{**settings, "method": "lora", "output": str(output), "options": {"rank": 2}}))
    return output


def test_a_packed_run_answers_as_before(
    build: ModuleType, lora: Path, dev_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = load_corpus(dev_file)
    packed = build.pack(lora, corpus, tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    assert Predictor.load("zoo/lora").answer(corpus).texts == Predictor.load(lora).answer(corpus).texts
    weights = load_file(tmp_path / "lora" / "adapter" / "adapter_model.safetensors")
    assert (packed.half, packed.changed) == (True, 0)
    assert {one.dtype for one in weights.values()} == {torch.float16}


def test_its_record_and_card_name_no_machine(build: ModuleType, lora: Path, dev_file: str, tmp_path: Path) -> None:
    build.pack(lora, load_corpus(dev_file), tmp_path)
    record = RunRecord.read(tmp_path / "lora")
    assert record.data["reported"].sources == ("dev.json",)
    for name in ("record.json", "README.md"):
        text = (tmp_path / "lora" / name).read_text(encoding="utf-8")
        assert str(tmp_path.parent) not in text and "/tmp" not in text
    assert f"| F1 | {record.metrics['reported']['f1']:.1f} (" in text and "LoRA" in text


def test_an_answer_that_half_precision_changes_keeps_the_weights_whole(
    build: ModuleType, lora: Path, dev_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([{"a": "x", "b": "y"}, {"a": "x", "b": "z"}])
    monkeypatch.setattr(build, "_answers", lambda run, corpus: next(answers))
    monkeypatch.setattr(build, "card", lambda *_, peft: "")
    packed = build.pack(lora, load_corpus(dev_file), tmp_path)
    assert (packed.half, packed.changed) == (False, 1)
    kept = load_file(tmp_path / "lora" / "adapter" / "adapter_model.safetensors")
    own = load_file(RunFolder(lora).adapter / "adapter_model.safetensors")
    assert all(torch.equal(weight, own[name]) for name, weight in kept.items())


def test_a_whole_model_is_too_large(build: ModuleType, finished: RunFolder, dev_file: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="only the adapter of a finished run"):
        build.pack(finished.path, load_corpus(dev_file), tmp_path)
