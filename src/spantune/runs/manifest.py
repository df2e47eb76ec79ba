"""The description of a saved model: `spantune.json`, beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spantune import __version__, zoo
from spantune.errors import MethodError, RunError
from spantune.methods import Method, get
from spantune.runs.atomic_files import listing, write_json_atomic
from spantune.runs.digests import digests_of, sealed
from spantune.runs.from_json import FORMAT, from_json, read_json

MANIFEST = "spantune.json"
ADAPTER_CONFIG = "adapter_config.json"
"""PEFT's description of an adapter, beside it."""
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Identity:
    """What a model is: enough to build it again before its weights are loaded."""

    method: str
    options: Mapping[str, Any]
    model: str
    model_type: str
    encoder_fingerprint: str
    encoder_digest: str | None = field(default=None, kw_only=True)
    """Of all its weights; None where they are checked otherwise (the bundled encoder, a run), and of older models."""


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
    """How a model was trained to answer: what a `Predictor` needs besides the weights."""

    max_length: int
    """Tokens in a window, including the question and special tokens."""
    doc_stride: int
    """Context tokens shared by two neighbouring windows."""
    max_answer_length: int
    """Longest answer in tokens."""
    squad_v2: bool
    """Whether the model may abstain."""
    null_threshold: float
    """See `NullFit.threshold`."""
    null_temperature: float = 1.0
    """See `NullFit.temperature`; older models have none."""
    language: str | None = None
    """Of MLQA's rules, by which its answers were scored; None for the official rule."""

    @property
    def null(self) -> NullFit | None:
        """What the model learned about "no answer"; None if it always answers."""
        return NullFit(self.null_threshold, self.null_temperature) if self.squad_v2 else None


@dataclass(frozen=True)
class Manifest(Identity):
    """The content of `spantune.json`."""

    settings: AnsweringSettings
    tokenizer_fingerprint: str | None = None
    """Of the encoder's tokenizer; older models have none."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the files beside it, by name; older models have none."""

    @property
    def identity(self) -> Identity:
        return Identity(**{key: getattr(self, key) for key in Identity.__dataclass_fields__})

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `spantune.json` beside the model's other files, with their digests: the last that is written of a model."""
    digests = {name: digest for name, digest in digests_of(folder).items() if not name.endswith((MANIFEST, ".md"))}
    write_json_atomic(folder / MANIFEST, sealed(replace(manifest, files=digests).to_json()))


def saved_in(run: str | Path) -> Path | None:
    """The saved model of a run folder or of `zoo/NAME`, or the folder itself where it holds one; else None.

    RunError if the zoo has no such adapter.
    """
    folder = zoo.find(run)
    return next((place for place in (folder, folder / "adapter") if (place / MANIFEST).is_file()), None)


def read_manifest(folder: Path) -> Manifest:
    """`spantune.json` of a saved model; RunError if it is missing or not ours."""
    path, what = folder / MANIFEST, "model's description"
    try:
        return from_json(Manifest, read_json(path, what), what, str(path))
    except (FileNotFoundError, NotADirectoryError):
        of_peft = (folder / ADAPTER_CONFIG).is_file()
        raise RunError(
            "there is no saved model here",
            where=str(folder),
            expected=f"a folder with {MANIFEST}",
            found="an adapter that PEFT saved by itself" if of_peft else listing(folder),
            fix="name the run folder of a finished `spantune train`",
        ) from None


def known_method(identity: Identity, path: Path) -> tuple[Method, Any]:
    """The saved model's method and options; RunError if this version does not know them."""
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
