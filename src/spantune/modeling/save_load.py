"""Save and load: PEFT's own format plus the span head for adapters, `from_pretrained`'s for whole models.

Every folder also holds `spantune.json`: what the model is and the settings that it was trained with.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spantune.errors import EncoderError, MethodError, RunError
from spantune.modeling.architecture_detection import architecture_of, shape_of
from spantune.modeling.encoders import (
    fingerprint,
    pretrained_config,
    pretrained_network,
    public_name,
    require_weights,
)
from spantune.modeling.load_errors import not_numbers, pickle_fault
from spantune.modeling.peft_compat import require_same_meaning
from spantune.modeling.pretrained_tokenizers import pretrained_tokenizer, tokenizer_fingerprint
from spantune.modeling.span_model import SpanModel, adapt
from spantune.runs.digests import refuse_altered
from spantune.runs.manifest import (
    MANIFEST,
    WEIGHTS,
    AnsweringSettings,
    Manifest,
    known_method,
    read_manifest,
    saved_in,
    write_manifest,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

_PICKLE = "adapter_model.bin"


@dataclass(frozen=True)
class Saved:
    """A loaded model with its tokenizer and the settings that were saved with it."""

    model: SpanModel
    tokenizer: PreTrainedTokenizerFast
    settings: AnsweringSettings


def trainable_state(model: SpanModel) -> dict[str, Tensor]:
    """The learning weights by name, on the CPU: all that training changes."""
    return {
        name: weight.detach().to("cpu", copy=True) for name, weight in model.named_parameters() if weight.requires_grad
    }


def load_trainable_state(model: SpanModel, state: Mapping[str, Tensor]) -> None:
    """Put `trainable_state` back; RunError if names or shapes differ."""
    if found := misfit(trainable_state(model), state):
        raise RunError(
            "the checkpoint does not fit the model",
            found=found,
            fix="resume with the configuration that the run was started with",
        )
    model.load_state_dict(state, strict=False)


def misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """What differs in names or shapes between two sets of weights, in words; None if nothing does."""
    ours, theirs = ({(name, weight.shape) for name, weight in state.items()} for state in (wanted, found))
    wrong = sorted({name for name, _ in ours ^ theirs})
    return f"{len(wrong)} weights differ in name or shape, first {wrong[0]}" if wrong else None


def save(model: SpanModel, folder: Path, *, settings: AnsweringSettings, tokenizer: PreTrainedTokenizerFast) -> int:
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
        state = {name: weight.detach().to("cpu").contiguous() for name, weight in saved_tensors(model).items()}
        model.hook.before_saving(config, state)
        if config is not None:
            config.save_pretrained(str(folder))
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    manifest = Manifest(
        **vars(model.identity), settings=settings, tokenizer_fingerprint=tokenizer_fingerprint(tokenizer)
    )
    write_manifest(folder, manifest)
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix == ".safetensors")


def _peft_config(model: SpanModel) -> Any:
    """The configuration that PEFT reads, ready for inference; None if nothing was injected."""
    config: Any
    if hasattr(model.network, "peft_config"):
        config = copy.copy(model.network.peft_config["default"])
        stock = type(model.network.get_base_model())
        # With it, PEFT's AutoPeftModel finds the encoder's class by itself.
        config.auto_mapping = {"base_model_class": stock.__name__, "parent_library": stock.__module__}
    elif model.virtual is not None:
        config = model.method.inject(model.method.resolve(model.identity.options), shape_of(model.network))
        config.modules_to_save = list(model.architecture.heads)
    else:
        return None
    config.base_model_name_or_path = public_name(model.identity.model)
    config.inference_mode = True
    return config


def saved_tensors(model: SpanModel) -> dict[str, Tensor]:
    """What `save` writes of a model, by the names in the file; also of one without weights (on the meta device)."""
    if model.method.whole_encoder:
        state = model.network.state_dict(keep_vars=True)
    elif hasattr(model.network, "peft_config"):
        from peft import get_peft_model_state_dict

        # Given the weights, PEFT does not warn of layers whose ranks are all pruned.
        state = get_peft_model_state_dict(model.network, state_dict=model.network.state_dict(keep_vars=True))
    elif model.virtual is not None:
        head = [name for name, _ in model.network.named_parameters() if model.architecture.is_head(name)]
        state = {f"base_model.{name}": model.network.get_parameter(name) for name in head}
        with torch.no_grad():
            state["prompt_embeddings"] = model.virtual.tokens()
    else:
        state = {name: weight for name, weight in model.network.named_parameters() if weight.requires_grad}
    # A tensor that several layers share goes under the first of its names; the others follow it.
    first = {id(weight): name for name, weight in reversed(state.items())}
    return {name: weight for name, weight in state.items() if first[id(weight)] == name}


def load(
    folder: Path,
    *,
    model: str | None = None,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    verify: bool = True,
) -> Saved:
    """Load a saved model to identical logits, in evaluation mode, on the CPU.

    Args:
        folder: what `save` wrote. model: the encoder, where it lies elsewhere now than when it was trained.
        dropout, attention_dropout: of its encoder, should it be trained on.
        verify: whether the digests of its files and of its encoder's weights are compared with those in its manifest.

    Raises:
        RunError: nothing usable is in the folder, or a file is not as it was saved.
        EncoderError: the adapter was trained on another encoder, or with another tokenizer.
    """
    manifest = read_manifest(folder)
    identity = manifest.identity
    method, options = known_method(identity, folder / MANIFEST)
    if verify:
        _require_unaltered(folder, manifest)
    if method.whole_encoder:
        try:
            network, tokenizer = pretrained_network(str(folder), new_head=False), pretrained_tokenizer(str(folder))
        except EncoderError as error:
            raise RunError("the saved model cannot be read", where=str(folder), found=str(error)) from error
        return Saved(SpanModel(network, identity, architecture_of(network)).eval(), tokenizer, manifest.settings)
    encoder = model or identity.model
    network = load_network(encoder, dropout=dropout, attention_dropout=attention_dropout)
    if fingerprint(network) != identity.encoder_fingerprint:
        raise EncoderError(
            f"the adapter was trained on another encoder than {encoder!r}",
            where=str(folder),
            expected=f"{identity.model} ({identity.model_type}, weights {identity.encoder_fingerprint})",
            found=f"{encoder} ({network.config.model_type}, weights {fingerprint(network)})",
            fix=f"bring the encoder {identity.model!r} back as it was, or train again on this one",
        )
    if verify and identity.encoder_digest is not None:
        require_weights(network, encoder, identity.encoder_digest)
    tokenizer = load_tokenizer(encoder)
    _require_tokenizer(tokenizer, manifest, folder, encoder)
    state = _read_weights(folder / WEIGHTS)
    loaded = adapt(network, identity, _for_inference(method.inject(options, shape_of(network))))
    require_same_meaning(_peft_config(loaded), folder)
    _put_back(loaded, state, folder / WEIGHTS)
    return Saved(loaded.eval(), tokenizer, manifest.settings)


def _require_unaltered(folder: Path, manifest: Manifest) -> None:
    """RunError where a file of a saved model is not as it was saved; an older one, without digests, is said."""
    if not manifest.files:
        note = "was saved by an older version, without digests: whether its files are damaged is not known"
        warnings.warn(f"{folder} {note}", stacklevel=3)
    refuse_altered(folder, manifest.files, "saved model", "bring the file back as it was saved, or train again")


def _require_tokenizer(tokenizer: PreTrainedTokenizerFast, manifest: Manifest, folder: Path, encoder: str) -> None:
    """EncoderError if the encoder's tokenizer is another than the adapter was trained with."""
    if manifest.tokenizer_fingerprint is None:
        warnings.warn(f"{folder}: the adapter does not say which tokenizer it was trained with", stacklevel=3)
        return
    if (present := tokenizer_fingerprint(tokenizer)) != manifest.tokenizer_fingerprint:
        raise EncoderError(
            f"the adapter was trained with another tokenizer than that of {encoder!r}",
            where=str(folder),
            expected=f"vocabulary, merges, normaliser and special tokens with digest {manifest.tokenizer_fingerprint}",
            found=f"digest {present}",
            fix=f"bring the tokenizer's files of {manifest.model!r} back as they were, or train again with these",
        )


def _for_inference(injection: Any) -> Any:
    """Virtual tokens are saved as they come out of their network, so the network is not built again."""
    if getattr(injection, "is_prompt_learning", False):
        injection.inference_mode = True
        if hasattr(injection, "prefix_projection"):
            injection.prefix_projection = False
    return injection


def _read_weights(path: Path) -> dict[str, Tensor]:
    fault = None if path.is_file() else pickle_fault(path.parent, _PICKLE, WEIGHTS)
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        parts = asdict(fault) if fault else {"found": str(error)}
        raise RunError("the adapter's weights cannot be read", where=str(path), **parts) from error
    if broken := sorted(not_numbers(state.items())):
        found = f"{len(broken)} tensors with values that are not numbers, first {broken[0]}"
        raise RunError("the adapter's weights are damaged", where=str(path), found=found)
    return state


def _put_back(model: SpanModel, state: dict[str, Tensor], path: Path) -> None:
    """Load an adapter's and the head's weights; RunError if names or shapes differ from what the method made."""
    model.hook.before_loading(state)
    if found := misfit(saved_tensors(model), state):
        raise RunError("the adapter's weights do not fit its description", where=str(path), found=found)
    if hasattr(model.network, "peft_config"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model.network, state)
        return
    if model.virtual is not None:
        model.virtual.load(state.pop("prompt_embeddings"))
        state = {name.removeprefix("base_model."): weight for name, weight in state.items()}
    model.network.load_state_dict(state, strict=False)


# A finished run may be named where an encoder is expected.


def _finished_run(name: str) -> tuple[str, Path | None]:
    """Where to begin: for a finished run (its folder, or `zoo/NAME`) its encoder, and the adapter to merge into it.

    A run that changed every weight is an encoder by itself; everything else is taken as it is.
    """
    folder = saved_in(name)
    if folder is None:
        return name, None
    identity = read_manifest(folder).identity
    whole = known_method(identity, folder / MANIFEST)[0].whole_encoder
    if whole:
        refuse_altered(folder, read_manifest(folder).files, "saved model", "bring the file back, or train again")
    return (str(folder), None) if whole else (identity.model, folder)


def load_config(name: str) -> PretrainedConfig:
    """The configuration of an encoder, or of a finished run's; see `encoders.pretrained_config`."""
    return pretrained_config(_finished_run(name)[0])


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of an encoder, or of a finished run's; see `pretrained_tokenizers.pretrained_tokenizer`."""
    return pretrained_tokenizer(_finished_run(name)[0])


def load_network(name: str, *, dropout: float = 0.0, attention_dropout: float = 0.0) -> PreTrainedModel:
    """An encoder with its span head; a finished run gives its encoder with the adapter merged and the head it learned.

    Raises:
        EncoderError: see `encoders.pretrained_network`; or it is a run whose method cannot be merged.
        RunError: see `load`.
    """
    name, adapter = _finished_run(name)
    if adapter is not None:
        return _merged(adapter, dropout, attention_dropout)
    return pretrained_network(name, dropout=dropout, attention_dropout=attention_dropout)


def _merged(adapter: Path, dropout: float, attention_dropout: float) -> PreTrainedModel:
    model = load(adapter, dropout=dropout, attention_dropout=attention_dropout).model
    try:
        network: PreTrainedModel = (model if model.is_plain else model.merge()).network
    except MethodError as error:
        raise EncoderError(
            "the run cannot be an encoder to begin with",
            where=str(adapter),
            expected="an adapter that can be merged into its encoder",
            found=error.problem,
            fix="name a run of a mergeable method (`spantune methods`), or an encoder",
        ) from error
    return network.requires_grad_(True)
