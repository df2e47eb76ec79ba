"""Why an encoder or an adapter cannot be loaded and how to fix it: transformers' errors say too little."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.errors import RunError
from spantune.runs.atomic_files import listing
from spantune.runs.from_json import read_json
from spantune.runs.manifest import ADAPTER_CONFIG
from spantune.runs.record import RECORD

if TYPE_CHECKING:
    from torch import Tensor

ENCODER_WEIGHTS = "model.safetensors"
ENCODER_PICKLES = "pytorch_model*.bin"
_FOLDER = "a folder with config.json, weights and tokenizer, or the name of a model on the hub"
# All parts into one file, tied tensors apart. What `weights_only` reads cannot run code.
_CONVERSION = (
    "import torch; from glob import glob; from safetensors.torch import save_file\n"
    'save_file({{k: v.contiguous().clone() for f in glob("{pickles}") for k, v in '
    'torch.load(f, weights_only=True).items()}}, "{wanted}", {{"format": "pt"}})'
)


@dataclass(frozen=True)
class Fault:
    """The parts of an error message after its first line."""

    found: str
    fix: str
    expected: str = _FOLDER


def pickle_fault(folder: Path, pickles: str, wanted: str) -> Fault | None:
    """The fault of a folder whose weights are `pickles` (a pattern of names) instead of `wanted`; None if none are.

    A pickle can run any code when it is loaded, so none is. The fix is the code that converts it.
    """
    names = sorted(path.name for path in folder.glob(pickles))
    if not names:
        return None
    return Fault(
        found=f"{', '.join(names)}, {'a pickle' if len(names) == 1 else 'pickles'}, which can run any code when loaded",
        fix=f"in that folder, two lines of Python:\n{_CONVERSION.format(pickles=pickles, wanted=wanted)}",
        expected=f"weights as safetensors ({wanted})",
    )


def not_numbers(tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the tensors that hold NaN or an infinity: their extremes show it, without a mask of their size."""
    return [
        name
        for name, tensor in tensors
        if tensor.numel() and not all(bool(extreme.isfinite()) for extreme in tensor.detach().aminmax())
    ]


def encoder_fault(place: str, what: str, error: Exception, instead: str) -> Fault:
    """Why `from_pretrained(place)` failed.

    Args:
        what: that was asked for: `configuration`, `tokenizer` or `weights`.
        error: that transformers raised. instead: what the user can always do.
    """
    folder, lines = Path(place), [line.strip() for line in str(error).splitlines() if line.strip()]
    # The second line if the first only announces it.
    message = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(error).__name__
    if "custom code" in message:
        return Fault("code of its own, which spantune does not run", instead, "a family that transformers has itself")
    if family := re.search(r"model type `(\S+)` but Transformers does not recognize", message):
        found = f"the family {family[1]!r}, which the installed transformers does not know"
        return Fault(found, f"pip install -U transformers, or {instead}", "a family that transformers has itself")
    if folder.is_dir():
        return _of_folder(folder, what, message, instead)
    if folder.exists():
        return Fault("a file", "name the folder that it is in")
    if folder.is_absolute() or place.startswith((".", "~")) or "\\" in place or place.count("/") > 1:
        return Fault("no such folder", f"correct the path, or {instead}")
    if what == "weights" and ENCODER_WEIGHTS in message:
        fix = f"convert them (see docs/troubleshooting.md), or {instead}"
        return Fault("no weights as safetensors in that repository", fix, f"weights as safetensors ({ENCODER_WEIGHTS})")
    return Fault(message, f"check the name and the connection, or {instead}")


def _of_folder(folder: Path, what: str, message: str, instead: str) -> Fault:
    if not (folder / "config.json").is_file():
        return _without_config(folder, instead)
    if what == "weights" and not any((folder / f"{ENCODER_WEIGHTS}{end}").is_file() for end in ("", ".index.json")):
        return pickle_fault(folder, ENCODER_PICKLES, ENCODER_WEIGHTS) or Fault(
            found=f"no weights in {listing(folder)}",
            fix=f"put the weights there, too, or {instead}",
            expected=f"weights as safetensors ({ENCODER_WEIGHTS}, or {ENCODER_WEIGHTS}.index.json and its parts)",
        )
    if what == "tokenizer" and not (folder / "tokenizer.json").is_file():
        fix = f"put the tokenizer's files there, too, or {instead}"
        return Fault(f"no tokenizer in {listing(folder)}", fix, "a fast tokenizer (tokenizer.json)")
    return Fault(message, f"bring its files back as they were published, or {instead}")


def _without_config(folder: Path, instead: str) -> Fault:
    if (folder / RECORD).is_file():
        return Fault("a run that did not finish", f"finish it with --resume, name an encoder, or {instead}")
    if not (folder / ADAPTER_CONFIG).is_file():
        return Fault(f"no config.json in {listing(folder)}", f"name an encoder's folder, or {instead}")
    try:
        encoder = read_json(folder / ADAPTER_CONFIG, "adapter's configuration").get("base_model_name_or_path")
    except RunError:
        encoder = None
    known = f"name the encoder that it was trained on: {encoder}" if isinstance(encoder, str) and encoder else None
    return Fault("an adapter of PEFT, not an encoder", known or f"name an encoder, or {instead}")
