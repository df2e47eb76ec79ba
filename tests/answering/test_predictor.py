"""Answers of a trained model: exact source substrings, one question like many, any context."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import WORDS, YEARS, make_encoder

from spantune.answering import Predictor
from spantune.answering.predictor import model_folder
from spantune.config import DecodeConfig, PredictorConfig
from spantune.data import Example
from spantune.data.prediction import Prediction
from spantune.errors import DataError, EncoderError, RunError
from spantune.modeling import build, save
from spantune.runs import RunFolder

EXACT = PredictorConfig(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def predictor(finished: RunFolder) -> Predictor:
    return Predictor.load(finished.path, EXACT)


def text(words: int, seed: int, year: str | None = "1812", at: int = 0) -> str:
    chance = random.Random(seed)
    made = [chance.choice(WORDS[:18]) for _ in range(words)]
    if year:
        made[at] = year
    return " ".join(made)


def many(count: int = 23) -> list[Example]:
    """Questions on contexts of one to several windows."""
    return [
        Example(f"q{n}", ("when ?", "which year ?")[n % 2], text(5 + 9 * (n % 11), n, at=n % 5)) for n in range(count)
    ]


def close(one: Prediction, other: Prediction) -> bool:
    return (one.text, one.start, one.end) == (other.text, other.start, other.end) and all(
        abs(getattr(one, name) - getattr(other, name)) < 1e-4 for name in ("score", "probability", "null_score")
    )


def test_ask(predictor: Predictor) -> None:
    context = "the mill was built in 1812 by ada near the river"
    answer = predictor.ask("when ?", context)
    assert answer.text == "1812" == context[answer.start : answer.end]
    assert 0 < answer.probability <= 1 and answer.null_probability == 0


def test_batches_answer_as_one_by_one_and_in_order(finished: RunFolder, predictor: Predictor) -> None:
    questions = many()
    small = Predictor.load(finished.path, PredictorConfig(device="cpu", precision="fp32", eval_batch_size=5))
    together, in_fives = predictor.predict(questions), small.predict(questions)
    alone = [predictor.predict([one])[0] for one in questions]
    assert [one.id for one in together] == [one.id for one in questions]
    for one, five, single in zip(together, in_fives, alone, strict=True):
        assert close(one, five) and close(one, single)
    backwards = predictor.predict(questions[::-1])[::-1]
    assert all(close(one, other) for one, other in zip(together, backwards, strict=True))


def test_every_candidate_is_a_piece_of_the_source(predictor: Predictor) -> None:
    for example, prediction in zip(many(), predictor.predict(many()), strict=True):
        assert prediction.n_best and prediction.text == prediction.n_best[0].text
        for one in prediction.n_best:
            assert one.text == example.context[one.start : one.end] == one.text.strip() != ""
        assert sum(one.probability for one in prediction.n_best) <= 1 + 1e-6
        assert [one.score for one in prediction.n_best] == sorted(
            (one.score for one in prediction.n_best), reverse=True
        )
        assert len({(one.start, one.end) for one in prediction.n_best}) == len(prediction.n_best)


@pytest.mark.parametrize("at", [3, 400, 799])
def test_a_long_context_is_searched_to_its_end(at: int, predictor: Predictor) -> None:
    context = text(800, seed=5, at=at)
    answer = predictor.ask("when ?", context)
    assert answer.text == "1812" and answer.start == context.index("1812")


def test_n_best(predictor: Predictor) -> None:
    context = text(30, seed=1)
    assert [len(predictor.ask("when ?", context, n_best=n).n_best) for n in (1, 3, 20)] == [1, 3, 20]
    assert close(predictor.ask("when ?", context, n_best=1), predictor.ask("when ?", context, n_best=20))


def test_of_a_long_context_only_candidates_stay_in_memory(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spantune.answering import engine

    held: list[tuple[int, ...]] = []
    real = engine.AnswerCollector.add_batch

    def add_batch(self: Any, owners: Any, characters: Any, spans: Any) -> None:
        real(self, owners, characters, spans)
        held.append(spans.score.shape)

    monkeypatch.setattr(engine.AnswerCollector, "add_batch", add_batch)
    monkeypatch.setattr(engine, "_CPU_TOKENS", 200)
    monkeypatch.setattr(engine, "_DECODED_AT_ONCE", 400)
    context = text(3000, seed=2)
    answer = predictor.ask("when ?", context, n_best=5)
    assert len(held) > 2 and all(kept == DecodeConfig.n_best for _, kept in held)
    assert max(windows for windows, _ in held) * predictor.rules.max_length < 400 + 200 + predictor.rules.max_length
    monkeypatch.undo()
    assert close(answer, predictor.ask("when ?", context, n_best=5))


@pytest.mark.parametrize(("question", "context", "words"), [
    ("", "some text", "the question is empty"), (" \n", "some text", "the question is empty"),
    ("when ?", "", "the context is empty"), ("when ?", "\t ", "the context is empty"),
])  # fmt: skip
def test_empty_input(question: str, context: str, words: str, predictor: Predictor) -> None:
    with pytest.raises(DataError, match=words):
        predictor.ask(question, context)


@pytest.mark.parametrize(
    "context",
    [
        "the 🏰 was built in 1812 👩‍👩‍👧",
        "the cafe\u0301 was built in 1812 e\u0301e\u0301",
        "הטחנה נבנתה ב 1812 ליד הנהר",
        "the mill\r\nwas built\r\nin 1812\r\nby ada",
        "\ufeff1812\u00a0\u2028the mill",
        "年1812年",
        "1812",
    ],
)
def test_any_script(context: str, predictor: Predictor) -> None:
    answer = predictor.ask("when ?", context)
    assert answer.n_best and all(one.text == context[one.start : one.end] for one in answer.n_best)
    assert "1812" in {one.text for one in answer.n_best}


def test_text_without_any_known_piece_still_has_an_answer_or_none(predictor: Predictor) -> None:
    for context in ("🏰", "\u200b", "\u0301"):
        answer = predictor.ask("when ?", context)
        assert (answer.text, [one.text for one in answer.n_best]) in ((context, [context]), ("", []))


@pytest.mark.parametrize("text", ["Ada \ud83d", "Ada \udcff", "Ada\x00", " "])
def test_text_that_cannot_be_read_is_refused(text: str, predictor: Predictor) -> None:
    for question, context in ((text, "the mill"), ("when ?", text)):
        with pytest.raises(DataError):
            predictor.ask(question, context)
        with pytest.raises(DataError, match="id '7'"):
            predictor.predict([Example("7", question, context)])


def test_a_very_long_question_is_cut_and_answered(predictor: Predictor) -> None:
    context = text(20, seed=3, at=7)
    cut, longer = (predictor.ask("when " * count + "?", context) for count in (100, 500))
    assert cut.text and close(cut, longer), "what was cut off says nothing"


def test_nothing_to_answer(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_no_answer_where_it_was_learned(finished_v2: RunFolder) -> None:
    predictor = Predictor.load(finished_v2.path, EXACT)
    there, missing = predictor.ask("when ?", text(12, 0, at=4)), predictor.ask("when ?", text(12, 0, year=None))
    assert there.text in YEARS and there.null_odds < predictor.settings.null_threshold
    assert (
        missing.text == ""
        and missing.n_best
        and missing.probability == missing.null_probability > missing.n_best[0].probability
    )
    for one in (there, missing):
        assert one.null_probability + sum(each.probability for each in one.n_best) <= 1 + 1e-6


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_left(training: bool, predictor: Predictor) -> None:
    predictor.model.train(training)
    predictor.ask("when ?", "in 1812")
    assert all(module.training == training for module in predictor.model.modules())
    predictor.model.eval()


def test_loading_twice_answers_alike_and_asks_no_gradient(finished: RunFolder, predictor: Predictor) -> None:
    again = Predictor.load(str(finished.adapter), EXACT)
    assert all(close(one, other) for one, other in zip(predictor.predict(many()), again.predict(many()), strict=True))
    predictor.predict(many(3))
    assert all(weight.grad is None for weight in predictor.model.parameters())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("folder", ["missing", "empty", "unfinished", "file"])
def test_what_is_no_finished_run(folder: str, finished: RunFolder, tmp_path: Path) -> None:
    run = tmp_path / folder
    if folder == "file":
        run.write_text("no folder")
    elif folder != "missing":
        run.mkdir()
    if folder == "unfinished":
        shutil.copy(finished.record, run)
        (run / "checkpoints").mkdir()
    with pytest.raises(RunError, match="there is no trained model here") as raised:
        Predictor.load(run)
    assert str(run) in str(raised.value) and "--resume" in str(raised.value)


def test_a_run_folder_and_its_adapter_are_the_same(finished: RunFolder) -> None:
    assert model_folder(finished.path) == model_folder(finished.adapter) == finished.adapter


@pytest.mark.parametrize("change", ["other weights", "other shape"])
def test_an_adapter_of_another_encoder(change: str, predictor: Predictor, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    name = make_encoder(encoder)
    save(build(name, "lora"), tmp_path / "run", settings=predictor.settings, tokenizer=predictor.tokenizer)
    Predictor.load(tmp_path / "run", EXACT)
    shutil.rmtree(encoder)
    make_encoder(encoder, seed=9) if change == "other weights" else make_encoder(encoder, hidden=64)
    with pytest.raises(EncoderError, match="trained on another encoder") as raised:
        Predictor.load(tmp_path / "run", EXACT)
    assert str(encoder) in str(raised.value) and "--model" not in str(raised.value), "no command that loads has it"
