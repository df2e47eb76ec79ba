"""What is measured of a trained model beside its scores: further sets, meaning, speed; also of a finished run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spantune.answering.predictor import Predictor
from spantune.answering.speed import answering
from spantune.config import AFTERWARDS, TrainConfig
from spantune.data import Corpus, Splits, load_evaluation, load_splits
from spantune.data.splits import refuse_unanswerable
from spantune.errors import DataError
from spantune.runs import DataRecord, RunFolder, RunRecord
from spantune.runs.environment import hardware
from spantune.scoring.domains import drop_scores
from spantune.scoring.official_metrics import rules_of
from spantune.scoring.score_run import evaluation_folder, score_set
from spantune.scoring.scores import Scores, score_runs
from spantune.scoring.semantic import Embed, semantic_scores, sentence_encoder
from spantune.training.run_settings import predicting, unmeasured


def further_sets(config: TrainConfig) -> dict[str, Corpus]:
    """The further sets by their sources: read before anything is trained, so that a mistyped one costs nothing.

    Raises:
        DataError: one cannot be read, or has questions that the run does not learn to answer.
    """
    corpora = {}
    for source in config.also_evaluate:
        corpora[source] = load_evaluation(
            (source,), columns=config.columns, rows=config.rows, limit=config.max_eval_examples, repair=config.repair
        )
        if not config.squad_v2:
            refuse_unanswerable(corpora[source])
    return corpora


def completed(config: TrainConfig, folder: RunFolder, record: RunRecord) -> RunRecord:
    """The record of a finished run, completed: what the configuration asks for and it does not have is measured now."""
    if not unmeasured(config, record):
        return record
    further, splits = further_sets(config), same_splits(config, record)
    predictor = Predictor.load(folder.path, predicting(config))
    changes = measured(predictor, config, folder, record, splits, further)
    asked = {key: value for key, value in config.as_dict().items() if key in AFTERWARDS}
    record = replace(record, **changes, config={**record.config, **asked})
    record.write(folder.path)
    return record


def same_splits(config: TrainConfig, record: RunRecord) -> Splits:
    """The data of a finished run; DataError if the reported set is not the one that it was scored on."""
    splits, recorded = load_splits(config, config.seed), record.data.get("reported")
    if splits.reported is not None and recorded is not None and splits.reported.fingerprint != recorded.fingerprint:
        raise DataError(
            "the reported set has changed since the run was scored on it",
            where=", ".join(recorded.sources),
            expected=f"examples with the digest {recorded.fingerprint[:12]}",
            found=splits.reported.fingerprint[:12],
            fix="bring the data back, or train again with --overwrite",
        )
    return splits


def measured(
    predictor: Predictor,
    config: TrainConfig,
    folder: RunFolder,
    record: RunRecord,
    splits: Splits,
    further: Mapping[str, Corpus],
) -> dict[str, Any]:
    """What the configuration asks for and the record does not have, as changes to it (`metrics`, `data` and others).

    The model may be merged afterwards.

    Args:
        record: of the run, with the scores of its own sets; its answers on the reported set are in the folder.
        further: as `further_sets` gives them.
    """
    embed = sentence_encoder(device=config.device) if config.semantic else None
    metrics, data = dict(record.metrics), dict(record.data)
    reported = _reported(predictor, folder, splits.reported if "reported" in metrics else None)
    if embed is not None and reported is not None and "semantic" not in metrics["reported"]:
        metrics["reported"] = {**metrics["reported"], **_meaning(reported, predictor, embed)}
    known = {data[name].sources: name for name in record.further if name in data}
    for source, corpus in further.items():
        name = known.get((source,))
        if name is not None and (embed is None or "semantic" in metrics[name]):
            continue
        name, data_record, scored = _scored(predictor, config, folder.evaluations, source, corpus, reported, embed)
        metrics[name], data[name] = scored, data_record
    changes: dict[str, Any] = {"metrics": metrics, "data": data}
    if config.cost_seconds != 0 and not record.answering:
        asked = splits.selection if splits.selection.examples else splits.train
        seconds = config.cost_seconds or min(max((record.timings.train_seconds or 0.0) / 50, 1.0), 20.0)
        changes["answering"] = answering(predictor, asked, seconds)
        here = hardware()
        if any(record.hardware.get(part) != here.get(part) for part in _PARTS):
            machine = ", ".join(f"{part} {here[part]}" for part in _PARTS if part in here)
            changes["notes"] = (*record.notes, f"answering speed was measured on another machine: {machine}")
    return changes


_PARTS = ("cpu", "cores", "gpu")  # of a machine, as far as speed depends on them


def _reported(predictor: Predictor, folder: RunFolder, corpus: Corpus | None) -> Scores | None:
    """The run's scores on the reported set, question by question; None if there is none."""
    if corpus is None:
        return None
    answers = json.loads(folder.predictions.read_text(encoding="utf-8"))
    return score_runs(corpus.examples, {"run": [answers]}, rules_of(predictor.squad_v2), predictor.settings.language)


def _meaning(scores: Scores, predictor: Predictor, embed: Embed) -> dict[str, float]:
    answers = dict(zip([example.id for example in scores.examples], scores.answers[0][0], strict=True))
    return semantic_scores(scores.examples, answers, rules_of(predictor.squad_v2), embed, scores.language)


def _scored(
    predictor: Predictor,
    config: TrainConfig,
    parent: Path,
    source: str,
    corpus: Corpus,
    reported: Scores | None,
    embed: Embed | None,
) -> tuple[str, DataRecord, dict[str, float]]:
    """A further set's name, what it holds, and the scores on it, with the drop from the reported set."""
    folder = evaluation_folder(parent, corpus, (source,))
    scored = score_set(predictor, corpus, folder, (source,), embed, config.n_best, config.language)
    described = DataRecord((source,), corpus.fingerprint, len(corpus.examples), scored.answers.windows)
    if reported is None:
        return folder.name, described, scored.scores
    here = score_runs(corpus.examples, {"run": [scored.answers.texts]}, rules_of(predictor.squad_v2), config.language)
    return folder.name, described, {**scored.scores, **drop_scores(reported, here)}
