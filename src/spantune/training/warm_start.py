"""Begin a run with what a finished run learned: `modeling.warm_start` on run folders."""

from __future__ import annotations

from collections.abc import Iterable

from spantune.answering.predictor import model_folder
from spantune.config import TrainConfig
from spantune.errors import ConfigError, EncoderError
from spantune.methods import methods
from spantune.modeling import SpanModel, build, load
from spantune.modeling.warm_start import begin_with, go_on_from, plain_weights


def refuse_starts(runs: Iterable[TrainConfig]) -> None:
    """Begin each run and throw it away: a study is refused before the first is trained, not when another's turn comes.

    Raises:
        EncoderError, MethodError: as `build` does. RunError, EncoderError, ConfigError, MethodError: as
            `begin_with_run` does.
    """
    for config in runs:
        if config.start_from:
            begin_with_run(fresh_model(config), config)


def fresh_model(config: TrainConfig) -> SpanModel:
    """The encoder with an untrained adapter and head; EncoderError and MethodError as `build` has them."""
    return build(
        config.model,
        config.method,
        config.options,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        seed=config.seed,
    )


def begin_with_run(model: SpanModel, config: TrainConfig) -> tuple[str, ...]:
    """Put what the run of `start_from` learned into the fresh model; a note of how much of it the method could hold.

    Raises:
        RunError: it is no finished run. EncoderError: it is of another encoder.
        ConfigError: its method changes no weight. MethodError: the model's method cannot hold what it changed.
    """
    if not config.start_from:
        return ()
    (name,) = config.start_from
    trained, where = _trained(name, model, config), f"start_from: {name}"
    own, theirs = ((span_model.identity.method, span_model.identity.options) for span_model in (model, trained))
    if own == theirs:
        go_on_from(model, trained, where=where)
        return (f"continues {name}",)
    _refuse_without_weights(name, trained)
    kept = begin_with(model, plain_weights(trained), where=where)
    return (f"begins with {name}; {model.method.label} holds {kept:.1%} of what changed in the encoder",)


def _trained(run: str, model: SpanModel, config: TrainConfig) -> SpanModel:
    theirs = load(model_folder(run), model=config.model).model
    if theirs.identity.encoder_fingerprint != model.identity.encoder_fingerprint:
        raise EncoderError(
            "a run cannot start from one of another encoder",
            where=f"start_from: {run}",
            expected=f"a run on {config.model} (weights {model.identity.encoder_fingerprint})",
            found=f"one on {theirs.identity.model} (weights {theirs.identity.encoder_fingerprint})",
            fix="--model of the runs, or leave it out",
        )
    return theirs


def _refuse_without_weights(run: str, trained: SpanModel) -> None:
    if not (trained.is_plain or trained.method.mergeable):
        able = [name for name, method in methods().items() if method.adds_nothing or method.mergeable]
        raise ConfigError(
            "a run that changed no weight of the encoder can only be continued with its method and options",
            where=f"start_from: {run}",
            expected=f"that, or a run of {', '.join(able)}",
            found=f"{trained.method.label} with {dict(trained.identity.options) or 'no options'}",
            fix=f"--method {trained.method.name} with these options, or leave it out",
        )
