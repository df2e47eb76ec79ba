"""Saved models that are missing, broken or not whole end in one clear message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import ANSWERING, without_digests

import spantune
from spantune.answering import Predictor
from spantune.errors import RunError
from spantune.modeling import build, load, save
from spantune.modeling.save_load import WEIGHTS, load_trainable_state, trainable_state
from spantune.runs.manifest import ADAPTER_CONFIG, MANIFEST, read_manifest

METHODS = ("lora", "ia3", "adalora", "prefix-tuning", "prompt-encoder", "bottleneck", "head-only")


@pytest.fixture(scope="module")
def saved(tiny_bert: Path, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A model of a method, saved once."""

    @cache
    def made(method: str) -> Path:
        folder = tmp_path_factory.mktemp(method) / "saved"
        save(build(str(tiny_bert), method), folder, settings=ANSWERING, tokenizer=tiny_tokenizer)
        return folder

    return made


ALIKE = ("ia3", "prefix-tuning", "bottleneck")
"""Saved as another one here: by PEFT, as rows before the input, or as weights of their own."""


@pytest.fixture(params=[pytest.param(one, marks=pytest.mark.exhaustive if one in ALIKE else ()) for one in METHODS])
def adapter(request: pytest.FixtureRequest, saved: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy that the test may break, as the two below are."""
    return without_digests(Path(shutil.copytree(saved(request.param), tmp_path / "adapter")))


@pytest.fixture
def lora(saved: Callable[[str], Path], tmp_path: Path) -> Path:
    return without_digests(Path(shutil.copytree(saved("lora"), tmp_path / "lora")))


def rewrite(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def whole(saved: Callable[[str], Path], tmp_path: Path) -> Path:
    return without_digests(Path(shutil.copytree(saved("full"), tmp_path / "whole")))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="no saved model here") as raised:
            load(folder)
        assert raised.value.where == str(folder)
        assert raised.value.found == ("an empty folder" if folder.exists() else "no such folder")


def test_an_adapter_that_was_not_saved_here(lora: Path) -> None:
    (lora / MANIFEST).unlink()
    with pytest.raises(RunError, match="no saved model here") as raised:
        load(lora)
    assert raised.value.found == "an adapter that PEFT saved by itself"


@pytest.mark.parametrize(
    "text", ["{", "\x00\xff", "", "[]", '"text"', "[" * 100_000, '{"format": ' + "1" * 5_000 + "}"]
)
def test_a_description_that_is_no_json(whole: Path, text: str) -> None:
    (whole / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match="description is broken") as raised:
        load(whole)
    assert raised.value.expected == "a JSON object"


def test_a_description_that_the_system_refuses(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(RunError, match=r"description cannot be read[\s\S]*directory"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [{}, {"format": 99}])
def test_a_description_of_another_version(whole: Path, content: Any) -> None:
    (whole / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(RunError, match="description has another format"):
        load(whole)


@pytest.mark.parametrize("key", ["method", "options", "settings", "encoder_fingerprint"])
def test_a_description_that_lacks_something(whole: Path, key: str) -> None:
    manifest = json.loads((whole / MANIFEST).read_text())
    del manifest[key]
    (whole / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="incomplete") as raised:
        load(whole)
    assert raised.value.expected == f"the key {key!r}"


@pytest.mark.parametrize("value", [7, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (None, ["lora"]))])
@pytest.mark.parametrize("key", ["method", "model", "model_type", "encoder_fingerprint", "options", "settings"])
def test_a_description_with_something_of_another_type(key: str, value: Any, whole: Path) -> None:
    rewrite(whole / MANIFEST, **{key: value})
    with pytest.raises(RunError, match="description is broken") as raised:
        load(whole)
    assert raised.value.where == f"{whole / MANIFEST}, key {key!r}" and raised.value.found == repr(value)
    assert raised.value.expected == ("an object" if key in ("options", "settings") else "a valid string")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"method": "lora-of-tomorrow"}, "there is no method 'lora-of-tomorrow'"),
        ({"options": {"rank": 4, "spin": "up"}}, "lora has no such option: 'spin'"),
        ({"options": {"rank": "four"}}, "the options of lora are not valid: rank: expected int, found 'four'"),
        ({"options": {"rank": 5000}}, "the options of lora are not valid: rank: expected 1 to 1024, found 5000"),
    ],
)
def test_a_model_of_another_version_of_spantune(changes: dict[str, Any], found: str, lora: Path) -> None:
    rewrite(lora / MANIFEST, **changes)
    with pytest.raises(RunError, match="version of spantune that knows other methods or options") as raised:
        load(lora)
    assert raised.value.where == str(lora / MANIFEST) and raised.value.found.startswith(found)
    assert raised.value.expected == f"what spantune {spantune.__version__} knows"
    assert "the version that it was trained with" in raised.value.fix


@pytest.mark.parametrize("settings", [{}, {"max_length": "long"}, {"squad_v2": 1}])
def test_settings_that_do_not_say_how_to_answer(settings: dict[str, Any], lora: Path) -> None:
    good = {"max_length": 48, "doc_stride": 8, "max_answer_length": 8, "squad_v2": False, "null_threshold": 0.0}
    rewrite(lora / MANIFEST, settings=good)
    assert Predictor.load(lora).ask("Who built the mill?", "Ada Moor built the old mill.").text is not None
    rewrite(lora / MANIFEST, settings={**good, **settings} if settings else {})
    with pytest.raises(RunError, match=f"description is {'broken' if settings else 'incomplete'}") as raised:
        Predictor.load(lora)
    assert str(lora / MANIFEST) in raised.value.where
    assert all(f"'settings.{key}'" in str(raised.value) for key in settings or good)


def test_missing_weights(adapter: Path) -> None:
    (adapter / WEIGHTS).unlink()
    with pytest.raises(RunError, match="weights cannot be read") as raised:
        load(adapter)
    assert WEIGHTS in str(raised.value)


def test_pickled_weights_are_refused_and_the_conversion_works(lora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PEFT wrote them with `safe_serialization=False`."""
    state = load_file(lora / WEIGHTS)
    torch.save(state, lora / "adapter_model.bin")
    (lora / WEIGHTS).unlink()
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("a pickle is read"))
    with pytest.raises(RunError, match="weights cannot be read") as raised:
        load(lora)
    assert raised.value.found == "adapter_model.bin, a pickle, which can run any code when loaded"
    assert raised.value.expected == f"weights as safetensors ({WEIGHTS})"
    monkeypatch.undo()
    monkeypatch.chdir(lora)
    exec(raised.value.fix.partition("\n")[2], {})
    made = load_file(lora / WEIGHTS)
    assert made.keys() == state.keys() and all(torch.equal(made[name], state[name]) for name in made)
    load(lora)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_numbers(value: float, adapter: Path) -> None:
    state = load_file(adapter / WEIGHTS)
    name = sorted(state)[-1]
    state[name].view(-1)[0] = value
    save_file(state, adapter / WEIGHTS)
    with pytest.raises(RunError, match="the adapter's weights are damaged") as raised:
        load(adapter)
    assert raised.value.found == f"1 tensors with values that are not numbers, first {name}"


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        *(pytest.param(one, torch.float16, marks=[] if one == "lora" else [pytest.mark.exhaustive]) for one in METHODS),
        ("lora", torch.bfloat16),
        ("lora", torch.float64),
    ],
)
def test_weights_of_another_precision_are_taken_as_they_are(
    method: str, kind: torch.dtype, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    """Others may have made the file smaller."""
    adapter = without_digests(Path(shutil.copytree(saved(method), tmp_path / "adapter")))
    state = load_file(adapter / WEIGHTS)
    save_file({name: weight.to(kind) for name, weight in state.items()}, adapter / WEIGHTS)
    loaded = load(adapter).model
    assert all(weight.dtype == torch.float32 for weight in loaded.parameters())
    head = next(weight for name, weight in state.items() if name.endswith("qa_outputs.weight"))
    (own,) = [w for name, w in loaded.named_parameters() if "qa_outputs" in name and w.requires_grad and w.dim() == 2]
    torch.testing.assert_close(own.detach(), head.to(kind).float(), rtol=0, atol=0)


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


# Releases of PEFT


def test_an_adapter_of_the_installed_peft_gives_no_warning(adapter: Path, recwarn: pytest.WarningsRecorder) -> None:
    load(adapter)
    assert not [one for one in recwarn if "PEFT" in str(one.message)]


@pytest.mark.parametrize("release", ["0.1.0", "99.0.0", "nonsense", None, [7]])
def test_an_adapter_of_another_or_unnamed_release(release: Any, lora: Path, recwarn: pytest.WarningsRecorder) -> None:
    rewrite(lora / ADAPTER_CONFIG, peft_version=release, field_of_tomorrow=True)
    load(lora)
    assert not [one for one in recwarn if "PEFT" in str(one.message)]


def test_a_default_of_peft_that_has_changed_since(lora: Path) -> None:
    """Its logits would be others, and nothing else would show it."""
    from peft import __version__

    rewrite(lora / ADAPTER_CONFIG, use_rslora=True, peft_version="0.18.0")
    with pytest.raises(RunError, match="two descriptions disagree") as raised:
        load(lora)
    assert raised.value.where == str(lora / ADAPTER_CONFIG)
    assert raised.value.expected == f"use_rslora False, as the installed PEFT {__version__} makes it from spantune.json"
    assert raised.value.found == "use_rslora True, written with PEFT 0.18.0"
    assert raised.value.fix == "pip install peft==0.18.0"
    rewrite(lora / ADAPTER_CONFIG, peft_version=__version__)
    with pytest.raises(RunError) as raised:
        load(lora)
    assert raised.value.fix == "bring its files back as saved"


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_broken_configuration_of_peft(text: str, lora: Path) -> None:
    (lora / ADAPTER_CONFIG).write_text(text)
    with pytest.raises(RunError, match="adapter's configuration is broken") as raised:
        load(lora)
    assert raised.value.where == str(lora / ADAPTER_CONFIG)


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
    save(first.model, adapter, settings=replace(ANSWERING, max_length=32), tokenizer=tiny_tokenizer)
    second = load(adapter)
    assert second.settings == replace(ANSWERING, max_length=32)
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
