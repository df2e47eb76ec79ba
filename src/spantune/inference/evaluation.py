"""Score a finished run on a data source, and keep the score in its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spantune.config import EvaluateConfig
from spantune.data import Corpus, load_evaluation
from spantune.data.splits import refuse_unanswerable
from spantune.evaluation.answers import Candidate, Prediction
from spantune.evaluation.files import write_null_odds
from spantune.evaluation.metrics import headline, score
from spantune.inference.engine import Answers, Sink
from spantune.inference.predictor import Predictor
from spantune.records import RunFolder
from spantune.records.files import atomic_json_object, explained, write_json_atomic

_CANDIDATE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n      ", ": "))


def scores(corpus: Corpus, answers: Answers, *, squad_v2: bool) -> dict[str, float]:
    """EM and F1 (0 to 100) under `em` and `f1`, and all that the official scorer returns."""
    scored = score(corpus.examples, answers.texts, rules="v2.0" if squad_v2 else "v1.1")
    if squad_v2:
        with_odds = score(
            corpus.examples, answers.spans, null_odds=answers.null_odds, null_threshold=float("inf")
        )  # fmt: skip
        scored |= {key: value for key, value in with_odds.items() if key.startswith(("best_", "pr_"))}
    return {**headline(scored), **scored}


def write_answers(folder: Path, answers: Answers, *, squad_v2: bool) -> None:
    """`predictions.json` in the official format, and `null_odds.json` for v2.0."""
    write_json_atomic(folder / "predictions.json", answers.texts)
    if squad_v2:
        write_null_odds(folder / "null_odds.json", answers.null_odds)


@contextmanager
def n_best_file(path: Path) -> Iterator[Sink]:
    """Write the candidates of each question that is handed to the sink; the file is there when the block has ended."""
    with atomic_json_object(path) as put:

        def sink(prediction: Prediction) -> None:
            put(prediction.id, _n_best_json(prediction.n_best))

        yield sink


def _n_best_json(candidates: Sequence[Candidate]) -> str:
    """What `json.dumps` with an indent makes of them inside an object, in a third of its time."""
    flat = (
        _CANDIDATE.encode(
            {"text": one.text, "start": one.start, "end": one.end, "score": one.score, "probability": one.probability}
        )[1:-1]
        for one in candidates
    )
    listed = ",\n".join(f"    {{\n      {one}\n    }}" for one in flat)
    return f"[\n{listed}\n  ]" if listed else "[]"


def evaluate_run(run: str, config: EvaluateConfig) -> dict[str, Any]:
    """Score the run `run` on `config.data`; metrics and answers go to its `evaluations/<set>/`.

    Raises:
        RunError, EncoderError: the run cannot be loaded. DataError: the data cannot be read, or has unanswerable
            questions and the run never learned to answer nothing.
    """
    predictor = Predictor.load(run, config)
    corpus = load_evaluation(config.data, columns=config.columns, seed=config.seed, limit=config.max_eval_examples)
    squad_v2 = bool(predictor.settings["squad_v2"])
    if not squad_v2:
        refuse_unanswerable(corpus, fix="score a run that was trained with --squad-v2")
    folder = _folder(RunFolder(Path(run)).evaluations, corpus, config.data)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with n_best_file(folder / "n_best.json") as sink:
        answers = predictor.answer(corpus, cache=True, sink=sink)
        scored = scores(corpus, answers, squad_v2=squad_v2)
        result = {
            **scored,
            "data": list(config.data),
            "fingerprint": corpus.fingerprint,
            "seconds": answers.seconds,
            "windows": answers.windows,
            "broken_windows": answers.broken_windows,
        }
        write_json_atomic(folder / "metrics.json", result)
        write_answers(folder, answers, squad_v2=squad_v2)
    return result


def _folder(parent: Path, corpus: Corpus, sources: Sequence[str]) -> Path:
    """Named after the set; where other sources of this name were scored before, with the data's fingerprint behind."""
    folder = parent / _slug(corpus.name)
    try:
        before = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["data"]
    except (OSError, ValueError, LookupError, TypeError):
        return folder
    return folder if before == list(sources) else folder.with_name(f"{folder.name}-{corpus.fingerprint[:8]}")


def _slug(name: str) -> str:
    """A set's name (several are parted by ` + `) as a folder's name: file names without their ending."""
    bare = (re.sub(r"\.(jsonl?|csv|parquet)$", "", Path(one).name) for one in name.split(" + "))
    return re.sub(r"[^\w.+-]+", "_", "+".join(bare)).strip("._")[:80] or "data"
