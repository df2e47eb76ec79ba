"""Whether the installed PEFT means the same by an adapter's configuration as the release that wrote it."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spantune.errors import RunError
from spantune.runs.from_json import read_json
from spantune.runs.manifest import ADAPTER_CONFIG

# Where and how it was written; and names of layers, which are compared with the tensors' names instead.
_NOT_COMPARED = {
    "auto_mapping",
    "base_model_name_or_path",
    "feedforward_modules",
    "inference_mode",
    "modules_to_save",
    "peft_version",
    "rank_pattern",
    "revision",
    "target_modules",
}


def require_same_meaning(ours: Any, folder: Path) -> None:
    """RunError if a field of the saved configuration differs from the one that the method makes now (`ours`).

    A default that changes between releases of PEFT would otherwise change the logits silently. If the model (`ours` is
    None) or the folder holds nothing of PEFT, there is nothing to compare.
    """
    path = folder / ADAPTER_CONFIG
    if ours is None or not path.is_file():
        return
    config, made = read_json(path, "adapter's configuration"), json.loads(json.dumps(ours.to_dict(), default=list))
    keys = sorted(made.keys() & config.keys() - _NOT_COMPARED)
    if differing := [key for key in keys if made[key] != config[key]]:
        key, wrote = differing[0], config.get("peft_version")
        raise RunError(
            "the adapter's two descriptions disagree",
            where=str(path),
            expected=f"{key} {made[key]!r}, as the installed PEFT {version('peft')} makes it from spantune.json",
            found=f"{key} {config[key]!r}, written with PEFT {wrote or 'of unknown release'}",
            fix=f"pip install peft=={wrote}" if wrote and wrote != version("peft") else "bring its files back as saved",
        )
