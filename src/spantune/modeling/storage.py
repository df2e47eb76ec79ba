"""Save and load: PEFT's own format plus the span head for adapters, `from_pretrained`'s for whole models.

Every folder also holds `spantune.json`: what the model is and the settings that it was trained with.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spantune.errors import EncoderError, RunError
from spantune.methods import get
from spantune.modeling.encoders import fingerprint, load_network, load_tokenizer, public_name, shape_of
from spantune.modeling.span_model import Identity, SpanModel, adapt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MANIFEST = "spantune.json"
WEIGHTS = "adapter_model.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """A loaded model with its tokenizer and the settings that were saved with it."""

    model: SpanModel
    tokenizer: PreTrainedTokenizerFast
    settings: Mapping[str, Any]


def trainable_state(model: SpanModel) -> dict[str, Tensor]:
    """The learning weights by name, on the CPU: all that training changes."""
    return {
        name: weight.detach().to("cpu", copy=True) for name, weight in model.named_parameters() if weight.requires_grad
    }


def load_trainable_state(model: SpanModel, state: Mapping[str, Tensor]) -> None:
    """Put `trainable_state` back; RunError where names or shapes differ."""
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    wrong = sorted(weights.keys() ^ state.keys()) or [
        name for name, weight in weights.items() if weight.shape != state[name].shape
    ]
    if wrong:
        raise RunError(
            "the checkpoint does not fit the model",
            found=f"{len(wrong)} weights differ in name or shape, first {wrong[0]}",
            fix="resume with the configuration that the run was started with",
        )
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(state[name])


def save(model: SpanModel, folder: Path, *, settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast) -> int:
    """Write the trained part into `folder` (made where it is missing) and return its size in bytes.

    The whole model and tokenizer for methods that change every weight; else `adapter_config.json` and
    `adapter_model.safetensors`, which hold the adapter and the span head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if model.method.whole_encoder:
        model.network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        config = _peft_config(model)
        if config is not None:
            config.save_pretrained(str(folder))
        save_file(_adapter_state(model), folder / WEIGHTS, metadata={"format": "pt"})
    manifest = {"format": FORMAT, **asdict(model.identity), "settings": dict(settings)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix == ".safetensors")


def _peft_config(model: SpanModel) -> Any:
    """The configuration that PEFT reads, ready for inference; None where nothing was injected."""
    config: Any
    if hasattr(model.network, "peft_config"):
        config = model.network.peft_config["default"]
    elif model.virtual is not None:
        shape = shape_of(model.config)
        config = model.method.inject(model.method.resolve(model.identity.options), shape)
        config.modules_to_save = [shape.architecture.head]
    else:
        return None
    config = copy.copy(config)
    config.base_model_name_or_path = public_name(model.identity.model)
    config.inference_mode = True
    return config


def _adapter_state(model: SpanModel) -> dict[str, Tensor]:
    if hasattr(model.network, "peft_config"):
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(model.network)
    elif model.virtual is not None:
        head = shape_of(model.config).architecture.head
        state = {f"base_model.{name}": w for name, w in model.network.named_parameters() if name.startswith(f"{head}.")}
        with torch.no_grad():
            state["prompt_embeddings"] = model.virtual.tokens()
    else:
        state = {name: weight for name, weight in model.network.named_parameters() if weight.requires_grad}
    return {name: weight.detach().to("cpu").contiguous() for name, weight in state.items()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """`spantune.json` of a saved model; RunError where it is missing or not ours."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            "there is no saved model here", where=str(folder), expected=f"a folder with {MANIFEST}",
            fix="name the run folder of a finished `spantune train`",
        ) from None  # fmt: skip
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError("the model's description cannot be read", where=str(path), found=str(error)) from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise RunError("the model was saved by another version", where=str(path), expected=f"format {FORMAT}",
                       found=str(found), fix="train it again")  # fmt: skip
    missing = sorted({*Identity.__dataclass_fields__, "settings"} - manifest.keys())
    if missing:
        raise RunError("the model's description is incomplete", where=str(path), found=f"no {', '.join(missing)}")
    return manifest


def load(folder: Path, *, model: str | None = None) -> Saved:
    """Load a saved model to identical logits, in evaluation mode, on the CPU.

    Args:
        folder: what `save` wrote. model: the encoder, where it lies elsewhere now than when it was trained.

    Raises:
        RunError: nothing usable is in the folder. EncoderError: the adapter was trained on another encoder.
    """
    manifest = read_manifest(folder)
    identity = Identity(**{key: manifest[key] for key in Identity.__dataclass_fields__})
    method = get(identity.method)
    if method.whole_encoder:
        try:
            network, tokenizer = load_network(str(folder), new_head=False), load_tokenizer(str(folder))
        except EncoderError as error:
            raise RunError("the saved model cannot be read", where=str(folder), found=str(error)) from error
        return Saved(SpanModel(network, identity).eval(), tokenizer, manifest["settings"])
    encoder = model or identity.model
    network = load_network(encoder)
    if fingerprint(network) != identity.encoder_fingerprint:
        raise EncoderError(
            f"the adapter was trained on another encoder than {encoder!r}",
            where=str(folder),
            expected=f"{identity.model} ({identity.model_type}, weights {identity.encoder_fingerprint})",
            found=f"{encoder} ({network.config.model_type}, weights {fingerprint(network)})",
            fix=f"bring the encoder {identity.model!r} back as it was, or train again on this one",
        )
    loaded = adapt(
        network, identity, _for_inference(method.inject(method.resolve(identity.options), shape_of(network.config)))
    )
    _put_back(loaded, _read_weights(folder / WEIGHTS), folder / WEIGHTS)
    return Saved(loaded.eval(), load_tokenizer(encoder), manifest["settings"])


def _for_inference(injection: Any) -> Any:
    """Virtual tokens are saved as they come out of their network, so the network is not built again."""
    if getattr(injection, "is_prompt_learning", False):
        injection.inference_mode = True
        if hasattr(injection, "prefix_projection"):
            injection.prefix_projection = False
    return injection


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError("the adapter's weights cannot be read", where=str(path), found=str(error)) from error


def _put_back(model: SpanModel, state: dict[str, Tensor], path: Path) -> None:
    """Load an adapter's and the head's weights; RunError where names or shapes differ from what the method made."""
    wanted = _adapter_state(model)
    wrong = sorted(wanted.keys() ^ state.keys()) or [
        name for name, weight in wanted.items() if weight.shape != state[name].shape
    ]
    if wrong:
        raise RunError(
            "the adapter's weights do not fit its description",
            where=str(path),
            found=f"{len(wrong)} weights differ in name or shape, first {wrong[0]}",
        )
    if hasattr(model.network, "peft_config"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model.network, state)
        return
    if model.virtual is not None:
        model.virtual.load(state.pop("prompt_embeddings"))
        state = {name.removeprefix("base_model."): weight for name, weight in state.items()}
    weights = dict(model.network.named_parameters())
    with torch.no_grad():
        for name, weight in state.items():
            weights[name].copy_(weight)


def replace_folder(made: Path, target: Path) -> None:
    """Put a completely written folder in the place of an older one; a crash leaves one of the two whole."""
    import shutil

    aside = target.with_name(target.name + ".old")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        os.replace(target, aside)
    os.replace(made, target)
    shutil.rmtree(aside, ignore_errors=True)
