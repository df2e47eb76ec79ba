"""Score a finished run on a data source, and keep the score in its folder."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spantune import zoo
from spantune.answering.engine import CorpusAnswers
from spantune.answering.predictor import Predictor
from spantune.config import DecodeConfig, EvaluateConfig
from spantune.data import Corpus, load_evaluation
from spantune.data.checks.scripts import script_note
from spantune.data.splits import refuse_unanswerable
from spantune.runs import SETS, RunFolder
from spantune.runs.atomic_files import make_folder, write_json_atomic
from spantune.runs.folder import N_BEST, NULL_ODDS, PREDICTIONS
from spantune.scoring.answerability import NullFit, null_scores
from spantune.scoring.official_metrics import headline, rules_of, score
from spantune.scoring.prediction_files import n_best_file, write_null_odds, write_predictions
from spantune.scoring.semantic import Embed, semantic_scores, sentence_encoder


def scores(
    corpus: Corpus,
    answers: CorpusAnswers,
    *,
    squad_v2: bool,
    null: NullFit | None = None,
    embed: Embed | None = None,
    language: str | None = None,
) -> dict[str, float]:
    """EM and F1 (0 to 100) under `em` and `f1`, and all that the official scorer returns.

    Args:
        null: of a v2.0 model: also score how well it knows what it cannot answer (`scoring.answerability`).
        embed: an encoder of texts: also score by meaning (`scoring.semantic`).
        language: of MLQA's rules; None for the official one.
    """
    rules = rules_of(squad_v2)
    scored = score(corpus.examples, answers.texts, rules=rules, language=language)
    if squad_v2:
        with_odds = score(corpus.examples, answers.spans, answers.null_odds, float("inf"), language=language)
        scored |= {key: value for key, value in with_odds.items() if key.startswith(("best_", "pr_"))}
    if null is not None:
        scored |= null_scores(corpus.examples, answers.spans, answers.null_odds, null, language)
    if embed is not None:
        scored |= semantic_scores(corpus.examples, answers.texts, rules, embed, language)
    return {**headline(scored), **scored}


def write_answers(folder: Path, answers: CorpusAnswers, *, squad_v2: bool) -> None:
    """`predictions.json` in the official format, and `null_odds.json` for v2.0."""
    write_predictions(folder / PREDICTIONS, answers.texts)
    if squad_v2:
        write_null_odds(folder / NULL_ODDS, answers.null_odds)


def evaluate_run(run: str, config: EvaluateConfig) -> dict[str, Any]:
    """Score the run `run` on `config.data`; metrics and answers go to its `evaluations/<set>/`.

    Those of an adapter that ships with the package (`zoo/lora`) go to `runs/zoo-lora/` instead.

    Raises:
        RunError, EncoderError: the run cannot be loaded. DataError: the data cannot be read, or has unanswerable
            questions and the run never learned to answer nothing.
    """
    predictor = Predictor.load(run, config)
    corpus = load_evaluation(
        config.data, columns=config.columns, rows=config.rows, seed=config.seed, limit=config.max_eval_examples
    )
    if not predictor.squad_v2:
        refuse_unanswerable(corpus, fix="score a run that was trained with --squad-v2")
    own = Path(run) if zoo.find(run) == Path(run) else Path("runs") / run.replace("/", "-")
    folder = evaluation_folder(RunFolder(own).evaluations, corpus, config.data)
    embed = sentence_encoder(device=config.device) if config.semantic else None
    if note := script_note(corpus.examples, config.language):
        warnings.warn(note, stacklevel=2)
    scored = score_set(predictor, corpus, folder, config.data, embed, language=config.language)
    return {**scored.scores, **scored.about}


class ScoredSet(NamedTuple):
    """A set that was answered and scored; `about` holds what `score_set` writes beside the scores."""

    scores: dict[str, float]
    about: dict[str, Any]
    answers: CorpusAnswers


def score_set(
    predictor: Predictor,
    corpus: Corpus,
    folder: Path,
    sources: Sequence[str],
    embed: Embed | None = None,
    n_best: int = DecodeConfig.n_best,
    language: str | None = None,
) -> ScoredSet:
    """Answer a set and score the answers: both go into `folder`, which is made.

    Args:
        sources: where the set is from. embed, language: see `scores`. n_best: candidates kept for a question.
    """
    make_folder(folder)
    with n_best_file(folder / N_BEST) as sink:
        answers = predictor.answer(corpus, n_best=n_best, cache=True, sink=sink)
        scored = scores(
            corpus, answers, squad_v2=predictor.squad_v2, null=predictor.null, embed=embed, language=language
        )
        about = {
            "data": list(sources),
            "fingerprint": corpus.fingerprint,
            "scoring": "squad" if language is None else "mlqa",
            "language": language,
            "seconds": answers.seconds,
            "windows": answers.windows,
            "broken_windows": answers.broken_windows,
        }
        write_json_atomic(folder / "metrics.json", {**scored, **about})
        write_answers(folder, answers, squad_v2=predictor.squad_v2)
    return ScoredSet(scored, about, answers)


def evaluation_folder(parent: Path, corpus: Corpus, sources: Sequence[str]) -> Path:
    """Named after the set; if other sources of this name were scored before, followed by the data's fingerprint.

    The same where the name is that of one of a run's own sets, since its record keeps further sets beside them.
    """
    folder = parent / _slug(corpus.name)
    with_digest = folder.with_name(f"{folder.name}-{corpus.fingerprint[:8]}")
    if folder.name in SETS:
        return with_digest
    try:
        before = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["data"]
    except (OSError, ValueError, LookupError, TypeError):
        return folder
    return folder if before == list(sources) else with_digest


def _slug(name: str) -> str:
    """A set's name (several are parted by ` + `) as a folder's name: file names without their ending."""
    bare = (re.sub(r"\.(jsonl?|csv|parquet)$", "", Path(source).name) for source in name.split(" + "))
    return re.sub(r"[^\w.+-]+", "_", "+".join(bare)).strip("._")[:80] or "data"
