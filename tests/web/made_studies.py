"""Studies for the Explore pages: small ones on disk, and a large one whose answers are made up."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from spantune.config import ServeConfig, TrainConfig
from spantune.data import Answer, Example, load_reported
from spantune.errors import RunError
from spantune.reports.judged_answers import judged
from spantune.runs import DataRecord, ParameterCount, RunFolder, RunRecord, Timings
from spantune.scoring.official_metrics import headline, score
from spantune.scoring.scores import score_runs
from spantune.web import create_app
from spantune.web.models import Model
from spantune.web.question_index import QuestionIndex
from spantune.web.served_models import named_models

LABELS = {"full": "Full fine-tuning", "lora": "LoRA", "ia3": "(IA)³"}


def question_row(id: str, question: str, context: str, *answers: str) -> dict[str, Any]:
    """A question as a flat row; no answers means that the context has none."""
    starts = [context.index(one) for one in answers]
    return {
        "id": id,
        "question": question,
        "context": context,
        "answers": {"text": list(answers), "answer_start": starts},
    }


RIVER = "The Rhine flows from the Alps to the North Sea. Its length is 1,230 km."
TOWER = "Gustave Eiffel's company built the tower in 1889 for a fair, and Paris kept it for its radio mast ever since."
ROWS = (
    question_row("a", "Where does the Rhine begin?", RIVER, "the Alps"),
    question_row("b", "How long is the Rhine?", RIVER, "1,230 km"),
    question_row("c", "Who built the tower?", TOWER, "Gustave Eiffel's company"),
    question_row("d", "When was it built?", TOWER, "1889"),
)
ANSWERS = {
    "full": [["the Alps", "1,230 km", "Gustave Eiffel's company", "a fair"]],
    "lora": [["from the Alps", "1,230 km", "Paris", "a fair"]],
    "ia3": [["the North Sea", "1,230 km", "Gustave Eiffel", "a fair"]],
}


def write_study(
    folder: Path, rows: Sequence[Mapping[str, Any]], answers: Mapping[str, Sequence[Sequence[str]]]
) -> Path:
    """A study on disk.

    Args:
        rows: of `question_row`. answers: by method and seed, one for each row.
    """
    folder.mkdir(parents=True)
    source = folder / "questions.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    squad_v2 = any(not row["answers"]["text"] for row in rows)
    config = TrainConfig(data=("sample",), eval_data=(str(source),), squad_v2=squad_v2)
    corpus = load_reported(config)
    assert corpus is not None
    for method, runs in answers.items():
        for seed, texts in enumerate(runs):
            run = RunFolder(folder / f"{method}-{seed}")
            run.path.mkdir()
            given = {row["id"]: text for row, text in zip(rows, texts, strict=True)}
            run.predictions.write_text(json.dumps(given), encoding="utf-8")
            settings = {**config.as_dict(), "method": method, "seed": seed, "output": str(run.path)}
            data = {"reported": DataRecord((str(source),), corpus.fingerprint, len(corpus.examples))}
            scored = headline(score(corpus.examples, given, rules="v2.0" if squad_v2 else "v1.1"))
            RunRecord(
                *("finished", method, LABELS[method], "minilm", seed),
                config=settings,
                data=data,
                metrics={"reported": scored},
                parameters=ParameterCount(1_000 * len(method), 23_000_000),
                timings=Timings(train_seconds=10.0 + len(method)),
            ).write(run.path)
    return folder


def made_up_index(questions: int, methods: int) -> QuestionIndex:
    """Like SQuAD's validation set in size: five questions on a context of 120 words."""
    chance = random.Random(0)
    vocabulary = [f"w{number}" for number in range(2_000)]
    examples = []
    for number in range(questions):
        if number % 5 == 0:
            context = " ".join(chance.choices(vocabulary, k=120))
        words = context.split()
        at = chance.randrange(100)
        text = " ".join(words[at : at + 2])
        start = len(" ".join(words[:at])) + (at > 0)
        asked = " ".join(chance.choices(vocabulary, k=10))
        examples.append(Example(f"q{number:05}", f"what {asked}?", context, (Answer(text, start),)))
    answers = {f"method {number}": [_answers(examples, number, chance)] for number in range(methods)}
    return QuestionIndex(judged(score_runs(examples, answers)))


def _answers(examples: Sequence[Example], number: int, chance: random.Random) -> dict[str, str]:
    given = {}
    for one in examples:
        gold = one.answers[0].text
        wrong = " ".join(one.context.split()[number : number + 2])
        given[one.id] = chance.choice((gold, gold, gold, gold.split()[0], wrong))
    return given


@dataclass(frozen=True)
class NoModels:
    """Models that are known and never loaded."""

    models: tuple[Model, ...]
    broken: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Any:
        raise RunError("no model here")


def served(studies: Sequence[Path], data_dir: Path, **settings: Any) -> FlaskClient:
    """A client of an app with these studies."""
    runs = [path.parent for study in studies for path in sorted(study.glob("*-0/record.json"))]
    config = ServeConfig(runs=("x",), data_dir=str(data_dir), **settings)
    return create_app(config, NoModels(named_models(runs)), studies).test_client()
