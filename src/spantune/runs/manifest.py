"""What a saved model says of itself: `spantune.json`, beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spantune import __version__, zoo
from spantune.errors import MethodError, RunError
from spantune.methods import Method, get
from spantune.runs.atomic_files import listing
from spantune.runs.from_json import Mismatch, parsed

MANIFEST = "spantune.json"
ADAPTER_CONFIG = "adapter_config.json"
"""What PEFT says of an adapter, beside it."""
FORMAT = 1


@dataclass(frozen=True)
class Identity:
    """What a model is: enough to build it again before its weights are loaded."""

    method: str
    options: Mapping[str, Any]
    model: str
    model_type: str
    encoder_fingerprint: str


@dataclass(frozen=True)
class NullFit:
    """What a model learns about "no answer" after training, on the selection split.

    Attributes:
        threshold: see `scoring.answerability.best_threshold`.
        temperature: see `scoring.answerability.fit_temperature`; 1, which changes nothing, where it cannot be fitted.
    """

    threshold: float
    temperature: float = 1.0


@dataclass(frozen=True)
class AnsweringSettings:
    """How a model was trained to answer, saved with it: what a `Predictor` must know beside the weights."""

    max_length: int
    """Tokens of a window, question and special tokens included."""
    doc_stride: int
    """Context tokens that two neighbouring windows share."""
    max_answer_length: int
    """Longest answer in tokens."""
    squad_v2: bool
    """Whether the model may answer nothing."""
    null_threshold: float
    """See `NullFit.threshold`."""
    null_temperature: float = 1.0
    """See `NullFit.temperature`; older models have none."""
    language: str | None = None
    """Of MLQA's rules, by which its answers were scored; None for the official rule."""

    @property
    def null(self) -> NullFit | None:
        """What the model learned about "no answer"; None where it always answers."""
        return NullFit(self.null_threshold, self.null_temperature) if self.squad_v2 else None


@dataclass(frozen=True)
class _Saved(Identity):
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """The content of `spantune.json`."""

    identity: Identity
    settings: AnsweringSettings

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self.identity), "settings": asdict(self.settings)}


def saved_in(run: str | Path) -> Path | None:
    """The saved model of a run folder or of `zoo/NAME`, or the folder itself where it holds one; else None.

    RunError where the zoo has no such adapter.
    """
    folder = zoo.find(run)
    return next((place for place in (folder, folder / "adapter") if (place / MANIFEST).is_file()), None)


def read_manifest(folder: Path) -> Manifest:
    """`spantune.json` of a saved model; RunError where it is missing or not ours."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        of_peft = (folder / ADAPTER_CONFIG).is_file()
        raise RunError(
            "there is no saved model here",
            where=str(folder),
            expected=f"a folder with {MANIFEST}",
            found="an adapter that PEFT saved by itself" if of_peft else listing(folder),
            fix="name the run folder of a finished `spantune train`",
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # the system refuses it; not UTF-8, not JSON
        found = getattr(error, "strerror", None) or str(error)
        raise RunError("the model's description cannot be read", where=str(path), found=found) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise RunError("the model was saved by another version", where=str(path), expected=f"format {FORMAT}",
                       found=str(found), fix="train it again")  # fmt: skip
    try:
        saved = parsed(_Saved, content)
    except Mismatch as wrong:
        if wrong.found is None:
            raise RunError("the model's description is incomplete", where=str(path),
                           found=f"no {wrong.key}") from None  # fmt: skip
        raise RunError("the model's description is not valid", where=str(path),
                       expected=f"{wrong.key}: {wrong.expected}", found=wrong.found) from None  # fmt: skip
    try:
        settings = parsed(AnsweringSettings, saved.settings)
    except Mismatch as wrong:
        raise RunError(
            "the saved model does not say how it answers",
            where=str(path),
            expected=f"settings: {', '.join(AnsweringSettings.__dataclass_fields__)}",
            found=f"none, or no value of its kind, for {', '.join(wrong.keys)}",
        ) from None
    return Manifest(Identity(**{key: getattr(saved, key) for key in Identity.__dataclass_fields__}), settings)


def known_method(identity: Identity, path: Path) -> tuple[Method, Any]:
    """The saved model's method and its options; RunError where this version knows one or the other differently."""
    try:
        method = get(identity.method)
        return method, method.resolve(identity.options)
    except MethodError as error:
        raise RunError(
            "the model was saved by a version of spantune that knows other methods or options",
            where=str(path),
            expected=f"what spantune {__version__} knows",
            found=" ".join(str(error).split()),
            fix="answer with the version that it was trained with (record.json names it), or a newer one",
        ) from error
