"""A saved model of which a bit, a block or a file changed is refused by the file's name, as is a damaged encoder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import cut, flip
from safetensors.torch import load_file, save_file
from tiny import ANSWERING, without_digests

from spantune.answering import Predictor
from spantune.answering.predictor import NoFiniteScores
from spantune.config import PredictorConfig
from spantune.errors import EncoderError, RunError
from spantune.modeling import build, load, save
from spantune.runs.manifest import read_manifest, write_manifest


@pytest.fixture(scope="module")
def saved(tiny_bert: Path, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A model of a method and its own copy of the encoder, saved once: `adapter` and `encoder` in a folder."""

    @cache
    def made(method: str) -> Path:
        folder = tmp_path_factory.mktemp(method)
        shutil.copytree(tiny_bert, folder / "encoder")
        model = build(str(folder / "encoder"), method)
        save(model, folder / "adapter", settings=ANSWERING, tokenizer=tiny_tokenizer)
        return folder

    return made


@pytest.fixture(params=["lora", "full"])
def adapter(request: pytest.FixtureRequest, saved: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved(request.param) / "adapter", tmp_path / "adapter"))


def zero(path: Path) -> None:
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])


HOW: dict[str, Callable[[Path], object]] = {
    "bit at the end": lambda path: flip(path, 1.0),
    "bit in the middle": lambda path: flip(path, 0.5),
    "a third zeroed": zero,
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("how", HOW)
def test_every_file_of_a_model_is_checked(how: str, adapter: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in adapter.iterdir())
    assert set(read_manifest(adapter).files) == set(names) - {"spantune.json"}
    load(adapter)
    for name in names:
        copy = Path(shutil.copytree(adapter, tmp_path / name))
        HOW[how](copy / name)
        with pytest.raises(RunError) as raised:
            load(copy)
        assert str(copy / name) in str(raised.value) or (name == "spantune.json" and str(copy) in str(raised.value))


def test_what_was_not_damaged_is_loaded_and_no_verify_takes_what_is_there(saved: Any, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(saved("lora") / "adapter", tmp_path / "adapter"))
    weights = adapter / "adapter_model.safetensors"
    flip(weights, 1.0)
    with pytest.raises(RunError, match="the saved model is damaged"):
        Predictor.load(adapter)
    Predictor.load(adapter, PredictorConfig(verify=False))


def test_an_older_model_without_digests_is_loaded_with_a_note(saved: Any, tmp_path: Path) -> None:
    adapter = without_digests(Path(shutil.copytree(saved("lora") / "adapter", tmp_path / "adapter")))
    with pytest.warns(UserWarning, match="without digests"):
        load(adapter)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.95])
def test_a_bit_of_the_encoder_is_named(where: float, saved: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved("lora"), tmp_path / "both"))
    path = folder / "encoder" / "model.safetensors"
    load(folder / "adapter", model=str(folder / "encoder"))
    flip(path, where)
    with pytest.raises(EncoderError, match="not those that the adapter was trained on") as raised:
        load(folder / "adapter", model=str(folder / "encoder"))
    assert str(path) in str(raised.value)


def test_a_setting_of_the_encoder_too(saved: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved("lora"), tmp_path / "both"))
    path = folder / "encoder" / "config.json"
    path.write_text(path.read_text().replace('"gelu"', '"relu"'))
    with pytest.raises(EncoderError, match="not those that the adapter was trained on"):
        load(folder / "adapter", model=str(folder / "encoder"))


def test_scores_that_are_no_numbers_are_refused(saved: Any, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(saved("lora") / "adapter", tmp_path / "adapter"))
    path = adapter / "adapter_model.safetensors"
    state = {name: torch.full_like(weight, 3e38) for name, weight in load_file(path).items()}
    save_file(state, path, metadata={"format": "pt"})
    write_manifest(adapter, read_manifest(adapter))
    predictor = Predictor.load(adapter)
    with pytest.raises(NoFiniteScores, match="1 of 1 windows without finite scores"):
        predictor.ask("Who built it?", "The mill was built by Ada in 1832.")
