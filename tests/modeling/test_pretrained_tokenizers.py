"""A tokenizer belongs to its encoder, and an adapter to the tokenizer that it was trained with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from many_tokenizers import BUILDS, tokenizer_of
from tiny import ANSWERING, without_digests

from spantune.answering import Predictor
from spantune.errors import EncoderError
from spantune.modeling import build, load, load_tokenizer, save
from spantune.modeling.pretrained_tokenizers import tokenizer_fingerprint
from spantune.runs.manifest import MANIFEST

CONTEXT = "the mill was built in 1812 by ada " * 12


@pytest.fixture
def encoder(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny BERT whose tokenizer may be changed."""
    return shutil.copytree(tiny_bert, tmp_path / "encoder")


@pytest.fixture
def adapter(encoder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    save(build(str(encoder), "lora"), folder, settings=ANSWERING, tokenizer=load_tokenizer(str(encoder)))
    return folder


def change(folder: Path, change: Callable[[dict[str, Any]], Any], name: str = "tokenizer.json") -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def shuffle(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    words, numbers = list(vocabulary)[5:], list(vocabulary.values())[5:]
    vocabulary.update(zip(words, reversed(numbers), strict=True))


def swap_specials(content: dict[str, Any]) -> None:
    content["post_processor"]["pair"].reverse()


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "vocabulary": shuffle,
    "normaliser": lambda content: content["normalizer"].update(lowercase=False),
    "accents": lambda content: content["normalizer"].update(strip_accents=False),
    "splits": lambda content: content.update(pre_tokenizer={"type": "WhitespaceSplit"}),
    "special tokens": swap_specials,
    "prefix": lambda content: content["model"].update(continuing_subword_prefix="@@"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_another_tokenizer_is_refused(changed: str, encoder: Path, adapter: Path) -> None:
    load(adapter)
    change(encoder, CHANGES[changed])
    with pytest.raises(EncoderError, match="trained with another tokenizer") as caught:
        load(adapter)
    assert str(adapter) in str(caught.value) and str(encoder) in (caught.value.fix or "")


def test_what_changes_no_token_is_no_other_tokenizer(encoder: Path, adapter: Path) -> None:
    change(encoder, lambda content: content.update(truncation_side="left", padding_side="left", model_max_length=17),
           "tokenizer_config.json")  # fmt: skip
    change(encoder, lambda content: content.update(truncation={"direction": "Left", "max_length": 9,
                                                               "strategy": "LongestFirst", "stride": 0}))  # fmt: skip
    load(adapter)


def test_an_adapter_of_before_loads_with_a_note(adapter: Path) -> None:
    change(without_digests(adapter), lambda content: content.pop("tokenizer_fingerprint"), MANIFEST)
    with pytest.warns(UserWarning, match="does not say which tokenizer"):
        load(adapter)


def test_a_whole_model_keeps_its_own_tokenizer(encoder: Path, tmp_path: Path) -> None:
    save(build(str(encoder), "full"), tmp_path / "full", settings=ANSWERING, tokenizer=load_tokenizer(str(encoder)))
    tokens = load(tmp_path / "full").tokenizer(CONTEXT)["input_ids"]
    change(encoder, shuffle)
    assert load(tmp_path / "full").tokenizer(CONTEXT)["input_ids"] == tokens


def test_fingerprints_differ_where_tokenizers_do() -> None:
    prints = {build: tokenizer_fingerprint(tokenizer_of(build)) for build in BUILDS}
    assert len(set(prints.values())) == len(BUILDS)
    assert prints == {build: tokenizer_fingerprint(tokenizer_of(build)) for build in BUILDS}


def test_cutting_on_the_left_gives_the_same_answers(encoder: Path, adapter: Path) -> None:
    before = Predictor.load(adapter).ask("when ?", CONTEXT)
    change(encoder, lambda content: content.update(truncation_side="left"), "tokenizer_config.json")
    assert load_tokenizer(str(encoder)).truncation_side == "right"
    assert Predictor.load(adapter).ask("when ?", CONTEXT) == before


def test_added_tokens_without_embeddings(encoder: Path) -> None:
    tokenizer = load_tokenizer(str(encoder))
    rows = len(tokenizer)
    tokenizer.add_tokens(["qzmill"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<ent>"]})
    tokenizer.save_pretrained(encoder)
    with pytest.raises(EncoderError, match="added tokens for which the encoder has no embeddings") as caught:
        load_tokenizer(str(encoder))
    assert f"2 above, first 'qzmill' with number {rows}" in str(caught.value)
    assert "resize_token_embeddings" in (caught.value.fix or "")
    change(encoder, lambda content: content.update(vocab_size=rows + 2), "config.json")
    assert load_tokenizer(str(encoder)).convert_tokens_to_ids("<ent>") == rows + 1


def test_no_pad_token(encoder: Path, adapter: Path) -> None:
    before = Predictor.load(adapter).ask("when ?", CONTEXT)
    change(encoder, lambda content: content.pop("pad_token"), "tokenizer_config.json")
    with pytest.warns(UserWarning, match="no pad token: '.PAD.' takes its place"):
        assert load_tokenizer(str(encoder)).pad_token == "[PAD]"
    assert Predictor.load(adapter).ask("when ?", CONTEXT) == before
    change(encoder, lambda content: content.update(pad_token_id=None), "config.json")
    with pytest.warns(UserWarning, match="no pad token: '.SEP.' takes its place"):
        load_tokenizer(str(encoder))
    assert Predictor.load(adapter).ask("when ?", CONTEXT).text == before.text
    for name in ("sep_token", "cls_token", "unk_token", "mask_token"):
        change(encoder, lambda content, name=name: content.pop(name), "tokenizer_config.json")
    with pytest.raises(EncoderError, match="has no pad token"):
        load_tokenizer(str(encoder))
