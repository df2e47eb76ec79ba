"""Which release of PEFT wrote an adapter, and whether the installed release reads it the same way."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from spantune.errors import RunError, UserError
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


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """PEFT's configuration of a saved adapter; empty if the method does not use PEFT.

    Raises:
        RunError: it cannot be read.
    """
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError("the adapter's configuration cannot be read", where=str(path), found=str(error)) from error
    if not isinstance(config, dict):
        raise RunError(
            "the adapter's configuration cannot be read", where=str(path), expected="a JSON object", found=repr(config)
        )
    return config


@contextmanager
def explained_by_release(folder: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """Context in which an adapter is loaded: if a newer PEFT wrote it, errors say so and success warns.

    Args:
        config: what `read_adapter_config` found in the folder.
    """
    newer, here = _newer(config.get("peft_version")), version("peft")
    try:
        yield
    except Exception as error:
        if newer is None:
            raise
        raise RunError(
            "the adapter was made with a newer PEFT, and the installed one cannot load it",
            where=str(folder),
            expected=f"PEFT {newer} or later",
            found=f"PEFT {here}: {_summary(error)}",
            fix="pip install -U peft",
        ) from error
    if newer is not None:
        warnings.warn(
            f"the adapter in {folder} was made with PEFT {newer}, newer than the installed {here}, which may not know "
            "all of it: pip install -U peft",
            stacklevel=4,
        )


def require_same_meaning(ours: Any, config: Mapping[str, Any], folder: Path) -> None:
    """RunError if a field of the saved configuration differs from the one that the method makes now.

    A default that changes between releases of PEFT would otherwise change the logits silently. If the model (`ours` is
    None) or the folder holds nothing of PEFT, there is nothing to compare.
    """
    if ours is None or not config:
        return
    made = json.loads(json.dumps(ours.to_dict(), default=list))
    keys = sorted(made.keys() & config.keys() - _NOT_COMPARED)
    if differing := [key for key in keys if made[key] != config[key]]:
        key, wrote = differing[0], config.get("peft_version")
        raise RunError(
            "the adapter's two descriptions disagree",
            where=str(folder / ADAPTER_CONFIG),
            expected=f"{key} {made[key]!r}, as the installed PEFT {version('peft')} makes it from spantune.json",
            found=f"{key} {config[key]!r}, written with PEFT {wrote or 'of unknown release'}",
            fix=f"pip install peft=={wrote}" if wrote and wrote != version("peft") else "bring its files back as saved",
        )


def _summary(error: Exception) -> str:
    if isinstance(error, UserError):
        return f"{error.problem} ({error.found})" if error.found else error.problem
    return " ".join(str(error).split()) or type(error).__name__


def _newer(release: Any) -> str | None:
    """The release, if it is newer than the installed one. A development version may name its commit after `@`."""
    try:
        wrote = Version(str(release).partition("@")[0])
    except InvalidVersion:
        return None
    return str(wrote) if wrote > Version(version("peft")) else None
