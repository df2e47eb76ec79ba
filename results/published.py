"""A study as it is published here: its records, and of every question numbers instead of texts.

The licences of data sets differ and their texts are large, so none is kept: an answer is its place in its
context. From that, who has the data gets every answer back, and who hasn't can still check every score, interval
and slice. A folder holds

- `study.json` and a folder for each final run with `record.json` and a thinned `history.jsonl`, all without paths;
- `answers.csv.gz`, a line a question: id, number and length of its context, its slice in every dimension, and for each
  run `RUN start`, `RUN end`, `RUN em`, `RUN f1` (0 to 1) and `RUN kind` (a boundary error with what is wrong with it).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from extended import PLACE, extended, joined

from spantune.data import Example
from spantune.errors import RunError
from spantune.reports.headline import finding
from spantune.reports.judged_answers import SLICE_RESAMPLES, Evidence
from spantune.reports.reproduce import typed
from spantune.reports.run_groups import Group, group
from spantune.reports.tables.main_table import comparison, csv_text
from spantune.reports.write_report import Report
from spantune.runs import History, RunFolder, RunRecord, without_paths
from spantune.scoring.dimensions import DIMENSIONS
from spantune.scoring.error_kinds import KINDS, Fault, KindCounts, boundary_fault
from spantune.scoring.scores import Scores
from spantune.scoring.slices import slice_scores
from spantune.scoring.statistics import Comparison, compare
from spantune.studies import StudyRecord
from spantune.studies.record import STUDY
from spantune.studies.report import report_of

ANSWERS = "answers.csv.gz"
_STEPS = 150
"""Lines of a history that are kept: each the mean of several."""
_NUMBERS = ("start", "end", "em", "f1", "kind")


def publish(study: Path, target: Path) -> Report:
    """Write what of a study has finished into `target`, and return what it shows there.

    A study that is published there already is added to: a new method is added to the others, a run or sweep
    that is there takes the new one's numbers. What is added may be sweeps alone.

    Raises:
        RunError: its answers cannot be read or compared, or what is there has another protocol or other questions.
    """
    record = StudyRecord.read(study)
    report = report_of(record)
    finished = [pair for pair in zip(report.folders, report.records, strict=True) if pair[1].status == "finished"]
    there = (target / STUDY).is_file()
    if report.evidence is None and (finished or not there):
        raise RunError(
            "the study's answers cannot be compared",
            where=str(study),
            expected="finished runs on one reported set that is at hand",
            found=report.missing or "no finished run",
        )
    public = _done(record, {folder.path.name for folder, _ in finished})
    rows = _table(report.evidence, _run_names(report.table.groups, report)) if report.evidence else []
    if there:
        public = extended(json.loads((target / STUDY).read_text(encoding="utf-8")), public)
        before = _rows(target / ANSWERS)
        rows = joined(before, rows) if rows else before
    target.mkdir(parents=True, exist_ok=True)
    _write_json(target / STUDY, public)
    for folder, run in finished:
        place = target / folder.path.name
        place.mkdir(exist_ok=True)
        _public(run).write(place)
        lines = [json.dumps(one) for one in thinned(History(folder.history).read())]
        RunFolder(place).history.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (target / ANSWERS).write_bytes(gzip.compress(csv_text(rows).encode(), mtime=0))
    return published(target)


def _done(study: StudyRecord, finished: Collection[str]) -> dict[str, Any]:
    """`study.json` with the sweeps that have chosen and the runs that have finished, without paths."""
    content = json.loads((study.folder / STUDY).read_text(encoding="utf-8"))
    content.pop("digest", None)  # of what is not published, too
    sweeps = [one for one in content["sweeps"] if one["chosen"]]
    runs = [one for one in content["runs"] if one["folder"] in finished]
    return without_paths({**content, "command": _typed(study.command), "sweeps": sweeps, "runs": runs})


def _public(run: RunRecord) -> RunRecord:
    return RunRecord.from_json(without_paths(replace(run, command=_typed(run.command), files={}).to_json()))


def _typed(command: Sequence[str]) -> tuple[str, ...]:
    return tuple(typed(command) or command)


def published(folder: Path) -> Report:
    """What a published study shows: the same as the study itself, but for its questions' texts."""
    about = report_of(StudyRecord.read(folder))  # without the answers
    groups = group(about.records)
    evidence = _evidence(_rows(folder / ANSWERS), groups, _run_names(groups, about))
    table = comparison(about.records, evidence.comparison)
    found = finding(table.groups, evidence.comparison, [])
    return replace(about, folder=folder, table=table, finding=found, evidence=evidence, missing=None)


def thinned(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Evaluations as they are; of the other lines the means of blocks, numbers rounded to four digits."""
    steps = [one for one in history if "loss" in one]
    size = max(1, -(-len(steps) // _STEPS))
    blocks = [steps[at : at + size] for at in range(0, len(steps), size)]
    means: list[dict[str, Any]] = []
    for block in blocks:
        known = {key: [one[key] for one in block if one.get(key) is not None] for key in block[-1]}
        place = {"step": block[-1]["step"], "epoch": block[-1]["epoch"]}
        means.append({key: float(np.mean(values)) for key, values in known.items() if values} | place)
    rows = sorted([*means, *(one for one in history if "loss" not in one)], key=lambda one: one["step"])
    return [
        {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in one.items()}
        for one in rows
    ]


def _run_names(groups: Sequence[Group], report: Report) -> dict[str, list[str]]:
    """By group's label the folders of its finished runs."""
    names = {id(record): folder.path.name for folder, record in zip(report.folders, report.records, strict=True)}
    return {one.label: [names[id(run)] for run in one.finished] for one in groups if one.finished}


def _table(evidence: Evidence, runs: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """The lines of `answers.csv`."""
    scores, rows = evidence.scores, []
    kinds = tuple(KINDS)
    for at, example in enumerate(scores.examples):
        slices = (one.slices[place] for one, place in zip(DIMENSIONS, evidence.slice_of[at], strict=True))
        told = (example.id, str(scores.contexts[at]), str(len(example.context)), *slices)
        row = dict(zip(PLACE, told, strict=True))
        for number, method in enumerate(scores.methods):
            for run, (name, places) in enumerate(zip(runs[method], evidence.spans[method], strict=True)):
                span = places.get(example.id)
                kind = kinds[evidence.kinds[number][run, at]]
                fault = boundary_fault(example, scores.answers[number][run][at], span) if kind == "boundary" else None
                em, f1 = scores.em_runs[number][run, at], scores.f1_runs[number][run, at]
                start, end = map(str, span or ("", ""))
                cells = (start, end, repr(float(em)), repr(float(f1)), f"{kind}: {fault}" if fault else kind)
                row |= {f"{name} {what}": cell for what, cell in zip(_NUMBERS, cells, strict=True)}
        rows.append(row)
    return rows


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))


def _evidence(
    rows: Sequence[Mapping[str, str]], groups: Sequence[Group], runs: Mapping[str, Sequence[str]]
) -> Evidence:
    """The statistics, computed again from the numbers."""
    # A stand-in for each context: as long as the context, and the same for its questions.
    examples = tuple(Example(one["id"], "", one["context"].ljust(int(one["context_characters"]))) for one in rows)

    def column(method: str, what: str) -> np.ndarray:  # (S, Q)
        return np.array([[float(one[f"{run} {what}"]) for one in rows] for run in runs[method]])

    methods = tuple(runs)
    nothing = tuple(tuple(("",) * len(rows) for _ in runs[method]) for method in methods)
    em, f1 = (tuple(column(method, what) for method in methods) for what in ("em", "f1"))
    scores = Scores(methods, examples, nothing, em, f1)
    said = [[[one[f"{run} kind"].partition(": ") for one in rows] for run in runs[method]] for method in methods]
    place = {kind: at for at, kind in enumerate(KINDS)}
    kinds = [np.array([[place[kind] for kind, _, _ in run] for run in some]) for some in said]  # type: ignore[index]
    divided = [np.array([[one[part.name] == name for one in rows] for name in part.slices]) for part in DIMENSIONS]
    counts = tuple(_counted(method, some) for method, some in zip(methods, said, strict=True))
    found: Comparison = compare(scores)
    slices = slice_scores(scores, DIMENSIONS, divided, resamples=SLICE_RESAMPLES)
    return Evidence(scores, divided, {}, kinds, found, slices, counts)


def _counted(method: str, runs: Sequence[Sequence[tuple[str, str, str]]]) -> KindCounts:
    kinds = Counter(kind for run in runs for kind, _, _ in run)
    faults = Counter(fault for run in runs for _, _, fault in run)
    return KindCounts(
        method,
        {kind: kinds[kind] / len(runs) for kind in KINDS},
        {fault: faults[fault] / len(runs) for fault in get_args(Fault)},
    )


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
