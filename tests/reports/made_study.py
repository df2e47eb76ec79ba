"""A study on disk, with answers that are made up: no model, a second at most."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from made_up import history, record

from spantune.config import TrainConfig
from spantune.data import load_reported
from spantune.runs import DataRecord, History, RunFolder
from spantune.scoring.official_metrics import headline, score

RESAMPLES = 400


def write_study(
    folder: Path,
    wrong: Mapping[str, Sequence[int]],
    rows: Sequence[Mapping[str, object]] | None = None,
    words: int = 3,
    language: str | None = None,
) -> list[RunFolder]:
    """A run for each method and number: the method misses every n-th question, answering the context's first words.

    Args:
        rows: questions as SQuAD JSON; default: the embedded sample's.
        language: of MLQA's rules, by which the runs are scored.
    """
    sources = (_written(folder, rows),) if rows else ()
    rule = {"scoring": "mlqa", "language": language} if language else {}
    config = TrainConfig(data=("sample",), eval_data=sources, **rule)
    corpus = load_reported(config)
    assert corpus is not None
    folders = []
    for method, every in wrong.items():
        for seed, step in enumerate(every):
            run = RunFolder(folder / f"{method}-{seed}")
            run.path.mkdir(parents=True)
            answers = {one.id: one.answers[0].text for one in corpus.examples}
            for one in corpus.examples[seed::step]:
                answers[one.id] = " ".join(one.context.split()[:words])
            run.predictions.write_text(json.dumps(answers), encoding="utf-8")
            for row in history(method, seed, steps=60):
                History(run.history).append(**row)
            data = {
                "train": DataRecord(("sample",), "t" * 64, 356),
                "reported": DataRecord(sources or ("sample",), corpus.fingerprint, len(corpus.examples)),
            }
            settings = {**config.as_dict(), "method": method, "seed": seed, "output": str(run.path)}
            scored = headline(score(corpus.examples, answers, rules="v1.1", language=language))
            made = record(method, seed, config=settings, data=data, metrics={"reported": scored})
            made.write(run.path)
            folders.append(run)
    return folders


def _written(folder: Path, rows: Sequence[Mapping[str, object]]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)
