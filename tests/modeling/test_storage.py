"""Saved models that are missing, broken or not whole end in one clear message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spantune.errors import RunError
from spantune.modeling import build, load, save
from spantune.modeling.storage import MANIFEST, WEIGHTS, load_trainable_state, replace_folder, trainable_state

METHODS = ("lora", "ia3", "prefix-tuning", "prompt-encoder", "head-only")


@pytest.fixture(params=METHODS)
def adapter(request: pytest.FixtureRequest, tiny_bert: Path, tiny_tokenizer: Any, tmp_path: Path) -> Path:
    save(build(str(tiny_bert), request.param), tmp_path / "adapter", settings={"x": 1}, tokenizer=tiny_tokenizer)
    return tmp_path / "adapter"


@pytest.fixture
def whole(tiny_bert: Path, tiny_tokenizer: Any, tmp_path: Path) -> Path:
    save(build(str(tiny_bert), "full"), tmp_path / "whole", settings={}, tokenizer=tiny_tokenizer)
    return tmp_path / "whole"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="no saved model here") as raised:
            load(folder)
        assert str(folder) in str(raised.value)


@pytest.mark.parametrize("text", ["{", "\x00\xff", ""])
def test_a_description_that_is_no_json(whole: Path, text: str) -> None:
    (whole / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match="description cannot be read"):
        load(whole)


@pytest.mark.parametrize("content", [{}, [], "text", {"format": 99}])
def test_a_description_of_another_version(whole: Path, content: Any) -> None:
    (whole / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(RunError, match="saved by another version"):
        load(whole)


@pytest.mark.parametrize("key", ["method", "options", "settings", "encoder_fingerprint"])
def test_a_description_that_lacks_something(whole: Path, key: str) -> None:
    manifest = json.loads((whole / MANIFEST).read_text())
    del manifest[key]
    (whole / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="incomplete") as raised:
        load(whole)
    assert f"no {key}" in str(raised.value)


def test_missing_weights(adapter: Path) -> None:
    (adapter / WEIGHTS).unlink()
    with pytest.raises(RunError, match="weights cannot be read") as raised:
        load(adapter)
    assert WEIGHTS in str(raised.value)


def test_truncated_weights(adapter: Path) -> None:
    weights = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(weights[: len(weights) // 2])
    with pytest.raises(RunError, match="weights cannot be read"):
        load(adapter)


@pytest.mark.parametrize("which", [0, -1])
def test_a_weight_that_is_not_there(adapter: Path, which: int) -> None:
    state = load_file(adapter / WEIGHTS)
    name = sorted(state)[which]
    save_file({key: weight for key, weight in state.items() if key != name}, adapter / WEIGHTS)
    with pytest.raises(RunError, match="do not fit its description") as raised:
        load(adapter)
    assert f"first {name}" in str(raised.value)


def test_a_weight_too_many_or_of_another_shape(adapter: Path) -> None:
    state = load_file(adapter / WEIGHTS)
    save_file({**state, "more": torch.zeros(2)}, adapter / WEIGHTS)
    with pytest.raises(RunError, match="first more"):
        load(adapter)
    name = sorted(state)[0]
    save_file({**state, name: torch.zeros(1, 2, 3)}, adapter / WEIGHTS)
    with pytest.raises(RunError, match=f"first {name}"):
        load(adapter)


def test_a_whole_model_that_is_damaged(whole: Path) -> None:
    state = load_file(whole / "model.safetensors")
    head = {name: weight for name, weight in state.items() if "qa_outputs" not in name}
    save_file(head, whole / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match="cannot be read") as raised:
        load(whole)
    assert "qa_outputs" in str(raised.value), "a head at random would answer at random"
    (whole / "model.safetensors").unlink()
    with pytest.raises(RunError, match="saved model cannot be read"):
        load(whole)


def test_saving_again_replaces(adapter: Path, tiny_tokenizer: Any) -> None:
    first = load(adapter)
    with torch.no_grad():
        for weight in first.model.parameters():
            weight.add_(weight.requires_grad * 1.0)
    save(first.model, adapter, settings={"x": 2}, tokenizer=tiny_tokenizer)
    second = load(adapter)
    assert second.settings == {"x": 2}
    learned, loaded = trainable_state(first.model), trainable_state(second.model)
    assert learned.keys() == loaded.keys() and all(torch.equal(learned[name], loaded[name]) for name in learned)


def test_trainable_state_comes_and_goes(tiny_encoder: Path) -> None:
    model = build(str(tiny_encoder), "lora")
    state = trainable_state(model)
    assert set(state) == {name for name, weight in model.named_parameters() if weight.requires_grad}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in state:
                weight.add_(1)
    load_trainable_state(model, state)
    assert all(torch.equal(weight, state[name]) for name, weight in model.named_parameters() if name in state)
    with pytest.raises(RunError, match="does not fit the model"):
        load_trainable_state(build(str(tiny_encoder), "lora", {"rank": 2}), state)
    with pytest.raises(RunError, match="does not fit the model"):
        load_trainable_state(build(str(tiny_encoder), "ia3"), state)


def test_a_folder_takes_anothers_place(tmp_path: Path) -> None:
    made, target = tmp_path / "made", tmp_path / "target"
    for folder, text in ((made, "new"), (target, "old")):
        folder.mkdir()
        (folder / "file").write_text(text)
    (target / "left over").touch()
    replace_folder(made, target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["file"] and (target / "file").read_text() == "new"
