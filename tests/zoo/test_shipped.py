"""What ships with the package: every adapter answers offline, is small, and says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from spantune import zoo
from spantune.answering import Panel, Predictor
from spantune.cli.main import main
from spantune.config import BUNDLED
from spantune.data import Answer, Corpus, Example, load_corpus
from spantune.methods import get
from spantune.runs import RunFolder, RunRecord, without_paths
from spantune.scoring.official_metrics import score
from spantune.web.served_models import what_to_serve

NAMES = zoo.names()
CONTEXT = (
    "The old mill on the river was built by Ada Brandt in 1832. It ground rye for three villages until a flood broke "
    "its wheel in the spring of 1871, and since then it has been a library with eleven thousand books."
)
QUESTIONS = {
    "Who built the mill?": "Ada Brandt",
    "When was the mill built?": "1832",
    "How many books does the library have?": "eleven thousand",
    "What broke the wheel?": "a flood",
}


def test_there_is_one() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    folder, record = zoo.find(name), RunRecord.read(zoo.find(name))
    assert (record.status, record.model, f"zoo/{record.method}") == ("finished", BUNDLED, name)
    assert record.metrics["reported"]["total"] == record.data["reported"].examples > 1000
    assert without_paths(record.to_json()) == record.to_json(), "no path of the machine that it was made on"
    card = (folder / "README.md").read_text(encoding="utf-8")
    f1 = record.metrics["reported"]["f1"]
    for said in ("CC BY 4.0", "CC BY-SA 4.0", f"| F1 | {f1:.1f} (", "Limits", "Made by `", record.label):
        assert said in card, said
    assert ("| Taught by |" in card) == bool(record.teachers)
    assert ("| Started from |" in card) == bool(record.started_from)
    assert all(Path(one).name in card for one in record.teachers)
    assert ("in PEFT's format" in card) == (folder / "adapter" / "adapter_config.json").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_its_size_is_that_of_its_weights(name: str) -> None:
    path = RunFolder(zoo.find(name)).adapter / "adapter_model.safetensors"
    record = RunRecord.read(zoo.find(name))
    assert record.adapter_bytes == path.stat().st_size
    weights = load_file(path)
    assert len({one.dtype for one in weights.values()}) == 1
    assert record.parameters is not None
    if get(record.method).family != "prompt":  # what makes virtual tokens is folded away
        assert sum(one.numel() for one in weights.values()) == record.parameters.trainable


def test_all_together_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(zoo.FOLDER).glob("*/adapter/*")) <= 8_000_000


@pytest.mark.parametrize("names", [NAMES[-2:], pytest.param(NAMES, marks=pytest.mark.exhaustive)], ids=["two", "all"])
def test_they_answer_side_by_side_as_they_do_alone(names: tuple[str, ...]) -> None:
    panel = Panel.load(names)
    together = {question: panel.ask(question, CONTEXT) for question in QUESTIONS}
    for answers in together.values():
        assert answers.keys() == set(names)
        assert all(CONTEXT[one.start : one.end] == one.text for one in answers.values())
    for name in names:
        alone = Predictor.load(name)
        for question, answers in together.items():
            assert alone.ask(question, CONTEXT).text == answers[name].text


def test_the_readmes_words_work_in_the_checkout_which_has_a_folder_of_that_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert Path("zoo").is_dir()
    assert main(["ask", "zoo", "--question", next(iter(QUESTIONS)), "--context", CONTEXT]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(NAMES)
    assert what_to_serve(["zoo"]) == NAMES


def test_the_best_one_answers_easy_questions() -> None:
    best = max(NAMES, key=lambda name: RunRecord.read(zoo.find(name)).metrics["reported"]["f1"])
    predictor = Predictor.load(best)
    answers = {question: predictor.ask(question, CONTEXT).text for question in QUESTIONS}
    examples = [
        Example(question, question, CONTEXT, (Answer(text, CONTEXT.index(text)),))
        for question, text in QUESTIONS.items()
    ]
    assert score(examples, answers)["exact_match"] == 100, answers


def test_the_best_one_answers_the_sample_better_than_chance() -> None:
    """On a corpus that it was not trained on, F1 of at least 40."""
    best = max(NAMES, key=lambda name: RunRecord.read(zoo.find(name)).metrics["reported"]["f1"])
    corpus = Corpus.of(load_corpus("sample", split="validation").examples[::32], "a part of the sample")
    found = score(corpus.examples, Predictor.load(best).answer(corpus).texts)
    assert found["f1"] > 40
