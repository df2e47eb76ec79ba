"""What records do not have: the answers to each question, and how `scoring` judges them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from spantune.config import DataConfig
from spantune.data import Corpus, Example, load_reported
from spantune.data.prediction import Prediction
from spantune.data.source import NoSource, reached
from spantune.errors import RunError, UserError
from spantune.reports.run_groups import Group, rule_language
from spantune.runs import RunFolder, RunRecord
from spantune.runs.damage import refuse_damaged_answers
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.error_kinds import KindCounts, Span, error_kinds, kind_counts
from spantune.scoring.official_metrics import Rules, rules_of
from spantune.scoring.prediction_files import first_places, read_predictions
from spantune.scoring.scores import Scores, score_runs
from spantune.scoring.slices import Slice, members, slice_scores
from spantune.scoring.statistics import Comparison, compare

Spans = Mapping[str, Sequence[Mapping[str, Span]]]
"""By group's label and run: question id to the place of the answer in the context."""

_SAME_SCORE = 1e-3
"""Points of EM and F1: more than rounding, less than one answer of ten thousand."""
SLICE_RESAMPLES = 2_000
"""There are many slices and their intervals are a hint, so a fifth of the resamples is enough (the first of them)."""


class Incomplete(Exception):
    """The answers cannot be compared; the message says why, in a sentence for the report."""


class Gone(Incomplete):
    """The file of the questions is found neither from the working folder nor from the study's."""


@dataclass(frozen=True, eq=False, repr=False)
class Judged:
    """The groups' answers to the same questions, each one judged. Methods are named by their group's label.

    Attributes:
        divided: by dimension (slices, Q), see `scoring.slices.members`.
        spans: places of the answers, as far as they are known.
        kinds: by method (S, Q), see `scoring.error_kinds.error_kinds`.
    """

    scores: Scores
    divided: Sequence[np.ndarray]
    spans: Spans
    kinds: Sequence[np.ndarray]

    @property
    def slice_of(self) -> np.ndarray:
        """(Q, dimensions) the place of each question's slice in its dimension."""
        return np.stack([kinds.argmax(axis=0) for kinds in self.divided], axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(Judged):
    """The same with the statistics.

    Attributes:
        counts: the kinds, counted.
    """

    comparison: Comparison
    slices: tuple[Slice, ...]
    counts: tuple[KindCounts, ...]

    @classmethod
    def of(cls, scores: Scores, spans: Spans | None = None, resamples: int | None = None) -> Evidence:
        """What scored answers say; `resamples` as in `scoring.statistics.compare`."""
        answers = judged(scores, spans)
        few = min(resamples or SLICE_RESAMPLES, SLICE_RESAMPLES)
        slices = slice_scores(scores, DIMENSIONS, answers.divided, resamples=few)
        counts = kind_counts(scores, answers.spans, answers.kinds)
        return cls(**vars(answers), comparison=compare(scores, resamples=resamples), slices=slices, counts=counts)

    @classmethod
    def of_predictions(
        cls,
        examples: Sequence[Example],
        predictions: Mapping[str, Sequence[Prediction]],
        rules: Rules | None = None,
        language: str | None = None,
    ) -> Evidence:
        """What the answers of several models to the same questions say, as `Panel.predict` gives them.

        Args:
            examples: the questions, with accepted answers.
            predictions: by name of the model, one for each example.
            rules, language: as in `scoring.official_metrics.score`.

        Raises:
            DataError: there is nothing to compare, or a model answered other questions.
        """
        answers = {name: [{answer.id: answer.text for answer in run}] for name, run in predictions.items()}
        spans = {
            name: [{answer.id: (answer.start, answer.end) for answer in run if answer.text}]
            for name, run in predictions.items()
        }
        return cls.of(score_runs(examples, answers, rules, language), spans)

    @property
    def methods(self) -> tuple[str, ...]:
        """By rank, as the table has them."""
        return tuple(standing.method for standing in self.comparison.standings)


def read_scores(groups: Sequence[Group], folders: Mapping[int, RunFolder]) -> Scores:
    """Load the reported questions again, read every finished run's answers, and score them.

    Args:
        folders: of the runs, by the `id` of their record.

    Raises:
        RunError: a run's answers are damaged, or do not score what its record says.
        Incomplete: no run has finished, the runs were not scored on the same reported set or not by the same rule, the
            set is gone (`Gone`) or has changed, or answers are missing.
    """
    finished = {group.label: group.finished for group in groups if group.finished}
    runs = [run for some in finished.values() for run in some]
    for run in runs:
        refuse_damaged_answers(folders[id(run)].path, run)
    examples = _reported(runs, folders).examples
    squad_v2 = any(run.config.get("squad_v2") for run in runs)
    try:
        answers = {
            label: [read_predictions(folders[id(run)].predictions) for run in some] for label, some in finished.items()
        }
        scores = score_runs(examples, answers, rules_of(squad_v2), rule_language(runs))
    except UserError as error:
        raise Incomplete(_sentence(error)) from error
    _refuse_others_answers(scores, groups, folders)
    return scores


def _refuse_others_answers(scores: Scores, groups: Sequence[Group], folders: Mapping[int, RunFolder]) -> None:
    """RunError if a run's answers do not score what its record says: they are damaged, or another run's."""
    finished = [group.finished for group in groups if group.finished]
    for runs, ems, f1s in zip(finished, scores.em_runs, scores.f1_runs, strict=True):
        for run, em, f1 in zip(runs, ems, f1s, strict=True):
            then = run.metrics["reported"]
            now = {"em": 100 * float(em.mean()), "f1": 100 * float(f1.mean())}
            if any(abs(now[name] - (then.get(name) or 0.0)) > _SAME_SCORE for name in now):
                raise RunError(
                    "the answers are not those that the run was scored for",
                    where=str(folders[id(run)].predictions),
                    expected=_em_and_f1(then),
                    found=_em_and_f1(now),
                    fix="bring the run's own answers back, or train it again with --overwrite",
                )


def _em_and_f1(scores: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {scores.get(key) or 0.0:.4f}" for key, name in (("em", "EM"), ("f1", "F1")))


def judged(scores: Scores, spans: Spans | None = None) -> Judged:
    """Every answer's kind and every question's slices: what takes seconds, not minutes."""
    known = {
        name: (spans or {}).get(name) or [{}] * len(runs)
        for name, runs in zip(scores.methods, scores.answers, strict=True)
    }
    divided = [members(scores.examples, dimension) for dimension in DIMENSIONS]
    return Judged(scores, divided, known, error_kinds(scores, known))


def read_spans(scores: Scores, groups: Sequence[Group], folders: Mapping[int, RunFolder]) -> Spans:
    """The places of the answers that `read_scores` read, as far as `n_best.json` tells them."""
    files = {group.label: [folders[id(run)].n_best for run in group.finished] for group in groups}
    return {
        label: [_places(scores.examples, *pair) for pair in zip(answers, map(first_places, files[label]), strict=True)]
        for label, answers in zip(scores.methods, scores.answers, strict=True)
    }


def _reported(runs: Sequence[RunRecord], folders: Mapping[int, RunFolder]) -> Corpus:
    """The questions that all runs were scored on."""
    if not runs:
        raise Incomplete("no run has finished")
    if any(run.scored_on != "reported" or "reported" not in run.data for run in runs):
        raise Incomplete(
            "there is no reported set: the scores are from the selection split, whose answers are not kept"
        )
    prints = {run.data["reported"].fingerprint for run in runs}
    if len(prints) > 1:
        raise Incomplete(f"the runs were scored on {len(prints)} different sets of questions, which cannot be paired")
    record = runs[0]
    sources = " + ".join(record.data["reported"].sources)
    try:
        corpus = reported_set(record, folders[id(record)].path)
    except UserError as error:
        kind = Gone if isinstance(error, NoSource) else Incomplete
        raise kind(f"the reported set ({sources}) cannot be loaded again: {_sentence(error)}") from error
    if corpus is None:
        raise Incomplete(f"the reported set ({sources}) is not there any more")
    if corpus.fingerprint not in prints:
        raise Incomplete(
            f"the reported set ({sources}) has changed since the runs were scored: {len(corpus.examples):,} questions "
            f"with the digest {corpus.fingerprint[:12]} now, {record.data['reported'].examples:,} with "
            f"{record.data['reported'].fingerprint[:12]} then"
        )
    return corpus


def reported_set(record: RunRecord, folder: Path) -> Corpus | None:
    """The questions that a run was scored on, by the settings in its record; None if these name none any more.

    Args:
        folder: of the run. Sources that are not in the working folder are looked for in the study's, and above it.

    Raises:
        UserError: they cannot be read; `NoSource` where they are not found.
    """
    known = {field.name for field in fields(DataConfig)}
    settings: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in record.config.items() if key in known
    }
    config = DataConfig(**settings)
    above = folder.resolve().parents
    data, eval_data = (tuple(reached(source, above) for source in some) for some in (config.data, config.eval_data))
    config = replace(config, data=data, eval_data=eval_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run said it
        return load_reported(config)


def _places(examples: Sequence[Example], answers: Sequence[str], best: Mapping[str, Span]) -> dict[str, Span]:
    """Of the best candidates' places those of the answers: under v2.0 the answer may be none where the candidate is a
    span."""
    known = ((example, text, best.get(example.id)) for example, text in zip(examples, answers, strict=True))
    return {example.id: place for example, text, place in known if place and example.context[slice(*place)] == text}


def _sentence(error: UserError) -> str:
    """An error on one line, without its remedy."""
    text = error.problem + (f" ({error.where})" if error.where else "")
    return " ".join((text + (f", found: {error.found}" if error.found else "")).split())
