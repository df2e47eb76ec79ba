"""Bring back what a finished run has lost: its answers by answering again, its model by training again."""

from __future__ import annotations

import warnings
from dataclasses import replace

from spantune.answering.predictor import Predictor
from spantune.config import TrainConfig
from spantune.runs import RunFolder, RunRecord
from spantune.runs.damage import damage_of, recorded_files
from spantune.runs.folder import N_BEST
from spantune.scoring.prediction_files import n_best_file
from spantune.scoring.score_run import scores, write_answers
from spantune.training.extra_measurements import same_splits
from spantune.training.run_settings import predicting


def mended(config: TrainConfig, folder: RunFolder, record: RunRecord) -> RunRecord | None:
    """The record of a finished run that is whole, or whose answers were made again, which is said.

    None if its model is gone or damaged, which is said, too: it has to be trained again.
    """
    damage = damage_of(folder.path, record)
    if not damage:
        return record
    if damage.model:
        warnings.warn(f"the finished run is damaged and is trained again: {damage}", stacklevel=2)
        return None
    warnings.warn(f"the finished run is damaged; its answers are made again: {damage}", stacklevel=2)
    return _answered_again(config, folder, record)


def _answered_again(config: TrainConfig, folder: RunFolder, record: RunRecord) -> RunRecord:
    """The record with the scores of the answers that the saved model gives; they replace those in the folder."""
    corpus = same_splits(config, record).reported
    assert corpus is not None, "a run that was scored on a reported set has one"
    predictor = Predictor.load(folder.path, predicting(config))
    with n_best_file(folder.path / N_BEST) as sink:
        answers = predictor.answer(corpus, n_best=config.n_best, cache=True, sink=sink)
        write_answers(folder.path, answers, squad_v2=config.squad_v2)
    scored = scores(corpus, answers, squad_v2=config.squad_v2, null=predictor.null, language=config.language)
    reported = {**record.metrics["reported"], **scored}
    record = replace(record, metrics={**record.metrics, "reported": reported}, files=recorded_files(folder.path))
    record.write(folder.path)
    return record
