"""Begin a run with the mean of finished runs: `modeling.averaging` on run folders."""

from __future__ import annotations

from spantune.config import TrainConfig
from spantune.errors import ConfigError
from spantune.inference.predictor import model_folder
from spantune.methods import methods
from spantune.modeling import SpanModel, load
from spantune.modeling.averaging import Weights, begin_with, plain_weights


def begin_with_mean(model: SpanModel, config: TrainConfig) -> tuple[str, ...]:
    """Put the mean of the configuration's runs into the fresh model; a note of how much of it the method could hold.

    Raises:
        RunError: one is no finished run. EncoderError: it is of another encoder.
        ConfigError: its method changes no weight. MethodError: the model's method cannot hold the mean.
    """
    if not config.average:
        return ()
    kept = begin_with(model, [_weights(run, model, config) for run in config.average])
    count, label = len(config.average), model.method.label
    return (f"begins with the mean of {count} runs; {label} holds {kept:.1%} of what they changed",)


def _weights(run: str, model: SpanModel, config: TrainConfig) -> Weights:
    theirs = load(model_folder(run), model=config.model).model
    if not (theirs.is_plain or theirs.method.mergeable):
        able = [name for name, one in methods().items() if one.adds_nothing or one.mergeable]
        raise ConfigError(
            "a run that changed no weight of the encoder cannot be averaged",
            where=f"average: {run}",
            expected=f"a run of {', '.join(able)}",
            found=theirs.method.label,
            fix="leave it out",
        )
    if theirs.identity.encoder_fingerprint != model.identity.encoder_fingerprint:
        raise ConfigError(
            "a run of another encoder cannot be averaged",
            where=f"average: {run}",
            expected=f"a run on {config.model} (weights {model.identity.encoder_fingerprint})",
            found=f"one on {theirs.identity.model} (weights {theirs.identity.encoder_fingerprint})",
            fix="--model of the runs, or leave it out",
        )
    return plain_weights(theirs)
