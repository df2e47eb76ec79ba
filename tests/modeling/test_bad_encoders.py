"""Encoders that cannot be used: each is refused with one message that says what would be right."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import ANSWERING

from spantune.errors import EncoderError
from spantune.modeling import build, load_tokenizer, save
from spantune.modeling.encoders import pretrained_config, pretrained_network
from spantune.modeling.load_errors import encoder_fault

WEIGHTS = "model.safetensors"
ANOTHER = "use the bundled encoder: minilm"


@pytest.fixture
def copied(tiny_bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the tiny BERT without some files, and with changes in its configuration."""

    def make(*without: str, **changes: Any) -> Path:
        folder = tmp_path / "encoder"
        shutil.copytree(tiny_bert, folder)
        for name in without:
            (folder / name).unlink()
        if changes:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, **changes}))
        return folder

    return make


def refusal(act: Callable[[], Any]) -> dict[str, str]:
    """The parts of the message: problem, where, expected, found, fix."""
    with pytest.raises(EncoderError) as raised:
        act()
    return {key: text or "" for key, text in vars(raised.value).items()}


# What is no encoder


def config_of(family: str, folder: Path, **changes: Any) -> str:
    from transformers import AutoConfig

    AutoConfig.for_model(family, **changes).save_pretrained(folder)
    return str(folder)


DECODER = "a decoder-only model, whose tokens see only what stands before them"


@pytest.mark.parametrize(
    ("family", "found"),
    [
        *((family, DECODER) for family in ("gpt2", "llama", "qwen3", "opt", "modernbert-decoder")),
        *((family, "an encoder-decoder model") for family in ("t5", "bart", "whisper")),
        ("vit", "a model that reads pixel_values, not the tokens of a text"),
        ("wav2vec2", "a model that reads input_values, not the tokens of a text"),
        ("layoutlm", "a model for which transformers has no question-answering class"),
    ],
)
def test_a_model_that_is_no_encoder(family: str, found: str, tmp_path: Path) -> None:
    message = refusal(lambda: pretrained_config(config_of(family, tmp_path)))
    assert message["problem"] == f"'{tmp_path}' ({family}) is not an encoder for extractive question answering"
    assert message["found"] == found
    assert message["expected"].startswith("an encoder such as albert, bert, ")
    assert message["fix"] == "choose an encoder, or the bundled one: minilm"


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_encoder_that_was_made_a_decoder(family: str, tmp_path: Path) -> None:
    assert refusal(lambda: pretrained_network(config_of(family, tmp_path, is_decoder=True)))["found"] == DECODER


def test_a_family_that_the_installed_transformers_does_not_know(copied: Any) -> None:
    message = refusal(lambda: pretrained_network(str(copied(model_type="bert9"))))
    assert message["found"] == "the family 'bert9', which the installed transformers does not know"
    assert message["fix"] == f"pip install -U transformers, or {ANOTHER}"


@pytest.mark.parametrize("load", [pretrained_network, load_tokenizer])
def test_code_in_a_checkpoint_is_neither_run_nor_asked_for(
    load: Any, copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("tokenizer.json", model_type="own", auto_map={"AutoConfig": "own.Config"})
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["own.Tokenizer", null]}}')
    (folder / "own.py").write_text("raise SystemExit('this ran')")
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("it asks"))
    message = refusal(lambda: load(str(folder)))
    assert message["found"] == "code of its own, which spantune does not run" and message["fix"] == ANOTHER


# What lacks files


def test_a_checkpoint_without_weights(copied: Any) -> None:
    folder = copied(WEIGHTS)
    message = refusal(lambda: pretrained_network(str(folder)))
    assert message["problem"] == f"the weights of '{folder}' cannot be loaded"
    assert message["expected"] == f"weights as safetensors ({WEIGHTS}, or {WEIGHTS}.index.json and its parts)"
    assert message["found"] == "no weights in config.json, tokenizer.json, tokenizer_config.json"
    assert message["fix"] == f"put the weights there, too, or {ANOTHER}"


def test_weights_in_parts(copied: Any, tiny_bert: Path) -> None:
    """As large models lie on the hub: an index and several files."""
    folder, wanted = copied(WEIGHTS), pretrained_network(str(tiny_bert), new_head=True)
    from transformers import AutoModel

    AutoModel.from_pretrained(tiny_bert).save_pretrained(folder, max_shard_size="20KB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 2 and not (folder / WEIGHTS).exists()
    loaded = dict(pretrained_network(str(folder)).named_parameters())
    assert all(
        torch.equal(weight, loaded[name]) for name, weight in wanted.named_parameters() if "qa_outputs" not in name
    )
    parts[1].unlink()
    message = refusal(lambda: pretrained_network(str(folder)))
    assert parts[1].name in message["found"] and "bring its files back" in message["fix"]


def pickled(folder: Path, parts: int = 1) -> dict[str, torch.Tensor]:
    """Put the weights into pickles, as torch.save wrote them for years; two names may share one tensor there."""
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    state["tied"] = state["encoder.layer.0.attention.self.query.weight"]
    state["turned"] = torch.arange(6.0).view(2, 3).T
    names = sorted(state)
    for part in range(parts):
        own = {name: state[name] for name in names[part::parts]}
        torch.save(own, folder / ("pytorch_model.bin" if parts == 1 else f"pytorch_model-{part}.bin"))
    return state


@pytest.mark.parametrize("parts", [1, 2])
def test_pickled_weights_are_refused_and_the_conversion_works(
    parts: int, copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied()
    state = pickled(folder, parts)
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("a pickle is read"))
    message = refusal(lambda: pretrained_network(str(folder)))
    names = "pytorch_model.bin, a pickle" if parts == 1 else "pytorch_model-0.bin, pytorch_model-1.bin, pickles"
    assert message["found"] == f"{names}, which can run any code when loaded"
    assert message["expected"] == f"weights as safetensors ({WEIGHTS})"
    monkeypatch.undo()
    converted(message["fix"], folder, monkeypatch)
    made = load_file(folder / WEIGHTS)
    assert made.keys() == state.keys() and all(torch.equal(made[name], state[name]) for name in made)
    pretrained_network(str(folder))


def converted(fix: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the message says."""
    before, _, code = fix.partition("\n")
    assert before == "in that folder, two lines of Python:" and len(code.splitlines()) == 2
    monkeypatch.chdir(folder)
    exec(code, {})


def test_a_pickle_that_the_configuration_names_is_not_read(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers takes `adapter_model.bin` where config.json says so, whatever it was told about safetensors."""
    folder = copied(transformers_weights="adapter_model.bin")
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("a pickle is read"))
    assert "no weights in adapter_model.bin" in refusal(lambda: pretrained_network(str(folder)))["found"]


def test_a_folder_without_a_configuration(copied: Any, tmp_path: Path) -> None:
    message = refusal(lambda: pretrained_network(str(copied("config.json"))))
    assert message["found"] == f"no config.json in {WEIGHTS}, tokenizer.json, tokenizer_config.json"
    (tmp_path / "empty").mkdir()
    assert refusal(lambda: pretrained_network(str(tmp_path / "empty")))["found"] == "no config.json in an empty folder"


@pytest.mark.parametrize("load", [pretrained_network, load_tokenizer])
def test_an_adapter_that_is_taken_for_an_encoder(
    load: Any, tiny_bert: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    save(build(str(tiny_bert), "lora"), folder, settings=ANSWERING, tokenizer=tiny_tokenizer)
    (folder / "spantune.json").unlink()  # as PEFT saves one
    message = refusal(lambda: load(str(folder)))
    assert message["found"] == "an adapter of PEFT, not an encoder"
    assert message["fix"] == f"name the encoder that it was trained on: {tiny_bert}"
    for content in ("[]", '{"base_model_name_or_path": null}'):
        (folder / "adapter_config.json").write_text(content)
        assert refusal(lambda: load(str(folder)))["fix"] == f"name an encoder, or {ANOTHER}"


@pytest.mark.parametrize("load", [pretrained_network, load_tokenizer])
def test_a_run_that_did_not_finish(load: Any, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{}")
    message = refusal(lambda: load(str(tmp_path)))
    assert message["found"] == "a run that did not finish" and "--resume" in message["fix"]


@pytest.mark.parametrize("load", [pretrained_network, load_tokenizer])
@pytest.mark.parametrize("place", ["./missing/folder", "/missing/folder", "~/folder", "a/folder/too/deep", "C:\\bert"])
def test_a_mistyped_path(load: Any, place: str) -> None:
    message = refusal(lambda: load(place))
    assert message["found"] == "no such folder" and message["fix"] == f"correct the path, or {ANOTHER}"


def test_a_file_instead_of_a_folder(tiny_bert: Path) -> None:
    message = refusal(lambda: pretrained_network(str(tiny_bert / WEIGHTS)))
    assert message["found"] == "a file" and message["fix"] == "name the folder that it is in"


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"model_type": "bert", "hidden_size": "wide"}'])
@pytest.mark.parametrize("load", [pretrained_network, load_tokenizer])
def test_a_configuration_that_is_broken(text: str, load: Any, copied: Any) -> None:
    """Whatever transformers raises: one message."""
    folder = copied()
    (folder / "config.json").write_text(text)
    message = refusal(lambda: load(str(folder)))
    assert "cannot be loaded" in message["problem"] and message["fix"].startswith("bring its files back as they were")
    if "wide" in text:
        assert "'hidden_size' expected int, got str" in message["found"]


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_tokenizer_that_is_broken(content: str, copied: Any) -> None:
    folder = copied()
    (folder / "tokenizer.json").write_text(content)
    assert "the tokenizer of" in refusal(lambda: load_tokenizer(str(folder)))["problem"]


def test_a_repository_without_safetensors() -> None:
    """What transformers raises where the hub has only pickles of a model."""
    raised = OSError(
        "someone/model does not appear to have a file named model.safetensors or model.safetensors.index.json and thus "
        "cannot be loaded with `safetensors`. Please do not set `use_safetensors=True`."
    )
    fault = encoder_fault("someone/model", "weights", raised, ANOTHER)
    assert fault.found == "no weights as safetensors in that repository"
    assert fault.fix == f"convert them (see docs/troubleshooting.md), or {ANOTHER}"
    other = encoder_fault("someone/model", "weights", OSError("no such host\nmore"), ANOTHER)
    assert (other.found, other.fix) == ("no such host", f"check the name and the connection, or {ANOTHER}")


# What does not fit together


def test_weights_of_another_shape_are_named(copied: Any) -> None:
    message = refusal(lambda: pretrained_network(str(copied(max_position_embeddings=48))))
    assert message["found"] == (
        "1 missing or of another shape, first bert.embeddings.position_embeddings.weight ((64, 32), not (48, 32))"
    )
    assert message["fix"] == "check that config.json and the weights belong together"


def test_a_head_of_another_shape_is_drawn_anew(tiny_of: Callable[[str], Path], tmp_path: Path) -> None:
    """ModernBERT's span head has the name of a classifier's, which has an output for each class."""
    from transformers import AutoConfig, AutoModelForTokenClassification

    config = AutoConfig.from_pretrained(tiny_of("modernbert"), num_labels=5)
    AutoModelForTokenClassification.from_pretrained(tiny_of("modernbert"), config=config).save_pretrained(tmp_path)
    assert pretrained_network(str(tmp_path)).classifier.weight.shape == (2, 32)
    with pytest.raises(EncoderError, match=r"first classifier\.(bias|weight) \(\(5,.* not \(2,"):
        pretrained_network(str(tmp_path), new_head=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers(value: float, copied: Any) -> None:
    folder = copied()
    state = load_file(folder / WEIGHTS)
    state["encoder.layer.1.output.dense.bias"][3] = value
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    message = refusal(lambda: pretrained_network(str(folder)))
    assert message["found"] == "1 with values that are not numbers, first bert.encoder.layer.1.output.dense.bias"
    assert message["fix"] == "fetch the weights again"


def test_a_configuration_for_export_is_used_all_the_same(copied: Any, inputs_of: Any, tiny_bert: Path) -> None:
    """`return_dict: false` makes transformers return tuples."""
    model = build(str(copied(return_dict=False)), "head-only").eval()
    assert model(**inputs_of(tiny_bert)).start.shape == (3, 14)


# Tokenizers


def test_a_slow_tokenizer(copied: Any) -> None:
    from transformers import ByT5Tokenizer

    folder = copied("tokenizer.json", "tokenizer_config.json")
    ByT5Tokenizer().save_pretrained(folder)
    message = refusal(lambda: load_tokenizer(str(folder)))
    assert message["problem"] == f"the tokenizer of '{folder}' is a slow one and gives no character offsets"
    assert message["expected"] == "a fast tokenizer (tokenizer.json)"
    assert message["found"] == "ByT5Tokenizer, for which transformers has no fast one"
    assert message["fix"] == "choose an encoder with a fast tokenizer, or the bundled one: minilm"


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "mpnet", "deberta-v2"])
def test_a_folder_without_a_tokenizer(family: str, tiny_of: Callable[[str], Path], tmp_path: Path) -> None:
    """transformers makes a tokenizer to which every word is unknown, without a warning."""
    for name in ("config.json", WEIGHTS):
        shutil.copy(tiny_of(family) / name, tmp_path)
    message = refusal(lambda: load_tokenizer(str(tmp_path)))
    assert message["problem"] == f"the tokenizer of '{tmp_path}' has no vocabulary"
    assert "special tokens and no word" in message["found"] and "vocab.txt" in message["expected"]
    assert message["fix"] == "put the tokenizer's files beside the weights"


def test_a_family_whose_tokenizer_cannot_be_made_from_nothing(tiny_of: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copy(tiny_of("modernbert") / "config.json", tmp_path)
    message = refusal(lambda: load_tokenizer(str(tmp_path)))
    assert message["found"] == "no tokenizer in config.json"
    assert message["fix"] == f"put the tokenizer's files there, too, or {ANOTHER}"


def test_a_vocabulary_alone_is_enough(copied: Any, tiny_tokenizer: Any) -> None:
    """As older BERTs were published."""
    folder, words = copied("tokenizer.json", "tokenizer_config.json"), tiny_tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n")
    assert load_tokenizer(str(folder))("the mill")["input_ids"] == tiny_tokenizer("the mill")["input_ids"]


def test_the_tokenizer_of_another_encoder(copied: Any, tiny_tokenizer: Any) -> None:
    """Its ids would lie behind the last embedding."""
    folder, rows = copied(), 100
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": rows}))
    message = refusal(lambda: load_tokenizer(str(folder)))
    assert message["problem"] == f"the tokenizer of '{folder}' belongs to another encoder"
    assert message["expected"] == f"at most {rows} tokens, as the encoder has embeddings"
    assert message["found"] == f"{tiny_tokenizer.vocab_size} tokens"


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"])
def test_sizes_beyond_any_encoder(key: str, copied: Any) -> None:
    message = refusal(lambda: pretrained_config(str(copied(**{key: 10**9}))))
    assert message["found"] == "1,000,000,000" and key in message["expected"]
