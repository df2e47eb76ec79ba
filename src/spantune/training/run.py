"""One training run from data to answer: `train` reads top to bottom as the whole pipeline."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spantune.answering.predictor import NoFiniteScores, Predictor
from spantune.answering.unsayable import UnsayableAnswers, unsayable_answers
from spantune.answering.window_rules import window_rules
from spantune.answering.windows import Windows, make_windows
from spantune.config import TrainConfig
from spantune.data import Splits, load_splits
from spantune.data.checks.scripts import script_note
from spantune.errors import ConfigError, RunError
from spantune.modeling import SpanModel, load_tokenizer, save
from spantune.modeling.devices import choose_device, choose_dtype
from spantune.modeling.load_errors import not_numbers
from spantune.modeling.save_load import trainable_state
from spantune.reports.figures.files import run_plots
from spantune.runs import Best, DataRecord, ParameterCount, RunFolder, RunRecord, Timings
from spantune.runs.atomic_files import atomic_folder
from spantune.runs.damage import recorded_files
from spantune.runs.environment import reset_peak_memory
from spantune.runs.folder import N_BEST
from spantune.runs.interruption import interrupt, uninterrupted
from spantune.runs.manifest import AnsweringSettings, NullFit
from spantune.scoring.answerability import fit_null
from spantune.scoring.prediction_files import n_best_file
from spantune.scoring.score_run import scores, write_answers
from spantune.training import distributed
from spantune.training.callbacks import Cadence, GracefulStop, Journal
from spantune.training.checkpoints import last_checkpoint, whole_or_gone
from spantune.training.distillation import Lessons, lessons, refuse_teachers
from spantune.training.extra_measurements import completed, further_sets, measured
from spantune.training.lineage import Origins, refuse_other_origins, refuse_own_folder
from spantune.training.mending import mended
from spantune.training.run_recorder import RunSheet, run_sheet
from spantune.training.run_settings import predicting, refuse_changes, refuse_other_data, resolve
from spantune.training.trainer import SpanTrainer, training_arguments
from spantune.training.warm_start import begin_with_run, fresh_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

_LOSSES = ("windows_with_cut_answer", "questions_cut", "answers_in_no_window", "answers_unsayable")


@dataclass(frozen=True)
class Material:
    """The examples of a run and the windows that they are cut into; None if a set is missing or empty."""

    splits: Splits
    train: Windows
    selection: Windows | None
    reported: Windows | None
    unsayable: Mapping[str, UnsayableAnswers]
    """Of each set, the answers that the model cannot give."""

    def sets(self) -> dict[str, Windows]:
        every = {"train": self.train, "selection": self.selection, "reported": self.reported}
        return {name: windows for name, windows in every.items() if windows is not None}


def train(config: TrainConfig, *, patience: float = 0.0) -> RunRecord:
    """Fine-tune, choose the best checkpoint on the selection split, score it once on the reported set, write it down.

    Args:
        patience: seconds to wait for another process that still works in the run folder.

    Returns:
        The finished run's record, as `record.json` in the run folder holds it.

    Raises:
        UserError: the configuration, the data, the encoder or the output folder does not allow the run, or another
            process works in the folder.
        KeyboardInterrupt: it was interrupted; a checkpoint is written and the record says so.
    """
    config = resolve(config)
    refuse_own_folder(config)
    refuse_teachers(config)
    distributed.join(config.device)
    folder = RunFolder(Path(config.output))
    with folder.only_writer(patience) if distributed.rank() == 0 else nullcontext():
        return _train(config, folder)


def _train(config: TrainConfig, folder: RunFolder) -> RunRecord:
    previous = distributed.agreed(lambda: _prepared(folder, config))
    if previous is not None:
        refuse_changes(config, previous)
        if previous.status == "finished":
            finished = previous
            whole = distributed.agreed(lambda: mended(config, folder, finished))
            if whole is not None:
                return distributed.agreed(lambda: completed(config, folder, whole))

    with run_sheet(config, folder, previous) as sheet:
        device = choose_device(config.device)
        dtype = choose_dtype(config.precision, device)
        sheet.update(device=device.type, precision=str(dtype).removeprefix("torch."))
        further = further_sets(config)
        tokenizer = load_tokenizer(config.model)
        model = fresh_model(config)
        start = begin_with_run(model, config)
        if config.gradient_checkpointing:
            model.recompute_activations()
        with distributed.first_process_first():
            material = prepare(config, tokenizer, model)
        origins = Origins.of(config)
        if previous is not None:
            refuse_other_data(previous, material.splits.train.fingerprint)
            refuse_other_origins(previous, origins)
        sheet.update(teachers=origins.teachers, started_from=origins.started_from, began_with=origins.began_with)
        taught = lessons(config, material.train)
        reset_peak_memory()  # what a run needs, whether or not the teachers had to answer again
        notes = (*start, *_notes(config, material))
        sheet.update(data=_data_records(config, material), parameters=_count(model, config), notes=notes)
        sheet.start_tracking()

        trainer = _trainer(config, folder, material, taught, tokenizer, model, sheet, dtype)
        with GracefulStop() as stop:
            trainer.add_callback(stop)
            checkpoint = distributed.agreed(lambda: last_checkpoint(folder, sheet.history) if previous else None)
            if config.epochs:
                trainer.train(resume_from_checkpoint=checkpoint)
        trainer.count_seconds("train_seconds" if config.epochs else None)
        if stop.asked:
            interrupt(stop.number)
        trainer.restore_best()
        distributed.part()
        if distributed.rank() > 0:
            return sheet.record  # the first process scores, saves and writes
        _refuse_diverged(model, config)
        if note := model.hook.finish():
            sheet.update(notes=(*sheet.record.notes, note))

        predictor = Predictor(model, tokenizer, _settings(config), predicting(config))
        metrics = {}
        if material.selection is not None:
            metrics["selection"] = _score(predictor, material.selection, config, tune=True)
        adapter_bytes = _save(model, folder, predictor.settings, tokenizer)
        if material.reported is not None:
            metrics["reported"] = _score(predictor, material.reported, config, folder.path)
        trainer.count_seconds("eval_seconds")

        sheet.update(
            metrics=metrics,
            best=_best(trainer),
            steps=trainer.state.global_step,
            adapter_bytes=adapter_bytes,
            timings=_timings(trainer, material),
        )
        sheet.update(**measured(predictor, config, folder, sheet.record, material.splits, further))
        run_plots(folder)
        sheet.update(files=recorded_files(folder.path))
        sheet.close("finished")
        if not config.keep_checkpoints:
            with uninterrupted():
                shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return sheet.record


def _prepared(folder: RunFolder, config: TrainConfig) -> RunRecord | None:
    """The record of the run to continue; None for a fresh start."""
    if config.overwrite and folder.holds_work:  # a mistyped name must not cost the run that is there
        load_tokenizer(config.model)
        load_splits(config, config.seed)
        further_sets(config)
    return folder.prepare(overwrite=config.overwrite, resume=config.resume)


def prepare(config: TrainConfig, tokenizer: PreTrainedTokenizerFast, model: SpanModel) -> Material:
    """Read and split the data, and cut it into windows that fit the model."""
    splits = load_splits(config, config.seed)
    rules = window_rules(
        config,
        tokenizer,
        longest=model.max_length,
        segment_ids=model.sends_segment_ids,
    )
    made = {
        name: make_windows(corpus, tokenizer, rules) if corpus is not None and corpus.examples else None
        for name, corpus in (("train", splits.train), ("selection", splits.selection), ("reported", splits.reported))
    }
    learned = made["train"]
    if learned is None or not len(learned.trainable()):
        raise ConfigError(
            "there is nothing to learn",
            where=splits.train.name,
            expected="at least one window that holds a whole answer",
            found=f"{len(splits.train.examples)} training examples, none with one",
            fix="a larger --max-length or --max-train-examples, or other data",
        )
    unsayable = {
        name: unsayable_answers(windows, config.max_answer_length)
        for name, windows in made.items()
        if windows is not None
    }
    if not config.allow_unsayable:
        for name, answers in unsayable.items():
            answers.refuse(f"the {name} set")
    return Material(splits, learned, made["selection"], made["reported"], unsayable)


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    material: Material,
    taught: Lessons | None,
    tokenizer: PreTrainedTokenizerFast,
    model: SpanModel,
    sheet: RunSheet,
    dtype: torch.dtype,
) -> SpanTrainer:
    batches = math.ceil(len(material.train.trainable()) / config.batch_size)
    steps_per_epoch = math.ceil(batches / config.gradient_accumulation)
    assert config.learning_rate is not None  # resolved
    return SpanTrainer(
        model,
        tokenizer,
        config,
        training_arguments(
            config,
            folder.checkpoints,
            learning_rate=config.learning_rate,
            steps=math.ceil(steps_per_epoch * config.epochs),
            device=choose_device(config.device),
            dtype=dtype,
        ),
        train=material.train,
        selection=material.selection,
        dtype=dtype,
        callbacks=[
            Cadence(config, steps_per_epoch, selects=material.selection is not None),
            Journal(sheet.journal),
        ],
        taught=taught,
    )


def _score(
    predictor: Predictor, windows: Windows, config: TrainConfig, folder: Path | None = None, *, tune: bool = False
) -> dict[str, float]:
    """Scores of the model on a set; with a folder, its answers go there.

    Args:
        tune: choose by this set, the selection split, when the model answers nothing (v2.0).
    """
    with n_best_file(folder / N_BEST) if folder else nullcontext() as sink:
        try:
            answers = predictor.answer_windows(windows, n_best=config.n_best, sink=sink)
        except NoFiniteScores as error:
            raise _diverged(error.windows, config) from error
        if folder is not None:
            write_answers(folder, answers, squad_v2=config.squad_v2)
    if tune and config.squad_v2:
        fitted = fit_null(windows.corpus.examples, answers.spans, answers.null_odds, config.language)
        predictor.settings = _settings(config, fitted)
    return scores(windows.corpus, answers, squad_v2=config.squad_v2, null=predictor.null, language=config.language)


def _refuse_diverged(model: SpanModel, config: TrainConfig) -> None:
    """RunError if a trained weight is not a number: such a model is not worth saving."""
    broken = not_numbers(trainable_state(model).items())
    if broken:
        raise _diverged(f"{len(broken)} trained tensors with values that are none, first {broken[0]}", config)


def _diverged(found: str, config: TrainConfig) -> RunError:
    return RunError(
        "the model has diverged: its scores are not numbers any more",
        found=found,
        fix=f"a lower learning rate than {config.learning_rate:g}, or --precision fp32",
    )


def _settings(config: TrainConfig, null: NullFit | None = None) -> AnsweringSettings:
    """How the model answers, with what it learned about "no answer"."""
    null = null or NullFit(threshold=0.0)
    return AnsweringSettings(
        max_length=config.max_length,
        doc_stride=config.doc_stride,
        max_answer_length=config.max_answer_length,
        squad_v2=config.squad_v2,
        null_threshold=null.threshold if math.isfinite(null.threshold) else 0.0,
        null_temperature=null.temperature,
        language=config.language,
    )


def _save(model: SpanModel, folder: RunFolder, settings: AnsweringSettings, tokenizer: PreTrainedTokenizerFast) -> int:
    """Save the model whole or not at all; its weights' size in bytes."""
    with atomic_folder(folder.adapter) as making, whole_or_gone(making):
        return save(model, making, settings=settings, tokenizer=tokenizer)


def _data_records(config: TrainConfig, material: Material) -> dict[str, DataRecord]:
    splits = material.splits
    made = {}
    for name, windows in material.sets().items():
        counts = windows.counts() | {"answers_unsayable": len(material.unsayable[name].answers)}
        dropped = {key: counts[key] for key in _LOSSES}
        if name == "train":
            dropped |= {"examples_over_the_limit": splits.counts["train over the limit"], **splits.repairs}
        elif name == "reported":
            dropped["examples_over_the_limit"] = splits.counts["reported over the limit"]
        made[name] = DataRecord(
            sources=(config.eval_data or config.data) if name == "reported" else config.data,
            fingerprint=windows.corpus.fingerprint,
            examples=counts["examples"],
            windows=counts["windows"],
            dropped={key: number for key, number in dropped.items() if number},
        )
    return made


def _notes(config: TrainConfig, material: Material) -> tuple[str, ...]:
    notes = [*material.splits.notes]
    notes += [f"{kind}: {number} (repair)" for kind, number in material.splits.repairs.items()]
    if material.splits.shared_contexts:
        notes.append(f"{material.splits.shared_contexts} contexts of the reported set are in the training data too")
    about_scripts = [script_note(windows.corpus.examples, config.language) for windows in material.sets().values()]
    notes += dict.fromkeys(note for note in about_scripts if note)
    for name, windows in material.sets().items():
        if unreachable := windows.unreachable():
            notes.append(f"{len(unreachable)} answers of the {name} set are in no window (first id {unreachable[0]})")
        if material.unsayable[name].answers:
            notes.append(f"{name} set: {material.unsayable[name].summary()}")
        if cut := windows.counts()["questions_cut"]:
            notes.append(f"{cut} questions of the {name} set were cut to {windows.rules.max_question} tokens")
    if material.selection is None:
        notes.append("no selection split: the last weights were kept, not the best")
    if distributed.count() > 1:
        notes.append(f"trained in {distributed.count()} processes")
    return tuple(notes)


def _count(model: SpanModel, config: TrainConfig) -> ParameterCount:
    counted = model.count_parameters()
    return counted if config.epochs or config.start_from else replace(counted, trainable=0)


def _best(trainer: SpanTrainer) -> Best:
    progress = trainer.progress
    if progress.best_f1 is None:
        return Best(step=trainer.state.global_step, epoch=float(trainer.state.epoch or 0), f1=None)
    return Best(step=progress.best_step, epoch=progress.best_epoch, f1=progress.best_f1)


def _timings(trainer: SpanTrainer, material: Material) -> Timings:
    seconds = trainer.progress.train_seconds
    seen = len(material.train.corpus.examples) * float(trainer.state.epoch or 0)
    return Timings(
        train_seconds=seconds,
        eval_seconds=trainer.progress.eval_seconds,
        examples_per_second=seen / seconds if seconds else None,
    )
