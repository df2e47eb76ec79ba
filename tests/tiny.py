"""For tests that train: a BERT of a few kilobytes, and a task that it learns in a second (the answer is the year)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from spantune.config import TrainConfig
from spantune.data import Example, load_corpus
from spantune.runs import RunFolder
from spantune.runs.manifest import AnsweringSettings

_TEXT = "the mill was built by ada in near a river and old town it has walls of stone when where who which year"
WORDS = _TEXT.split()
YEARS = [str(year) for year in range(1800, 1830)]
SETTINGS: dict[str, Any] = {
    "max_length": 48,
    "doc_stride": 12,
    "batch_size": 8,
    "epochs": 2,
    "device": "cpu",
    "precision": "fp32",
    "method": "full",
    "learning_rate": 3e-3,
    "selection_fraction": 0.25,
    "mlflow": False,
    "cost_seconds": 0.0,
}
ANSWERING = AnsweringSettings(
    max_length=48, doc_stride=12, max_answer_length=6, squad_v2=False, null_threshold=0.0, null_temperature=1.0
)
"""How a model that a test saves answers."""


def make_encoder(folder: Path, *, seed: int = 0, hidden: int = 32) -> str:
    """A random BERT of two layers and 96 positions, with a tokenizer of words, years and letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,?"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *YEARS, *letters, *(f"##{one}" for one in letters)]
    vocabulary = list(dict.fromkeys(pieces))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=96,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return str(folder)


def squad(count: int, *, seed: int = 0, words: int = 12, impossible: bool = False) -> dict[str, Any]:
    """SQuAD JSON: `count` texts, one year among the words of each, two questions whose answer is that year.

    With `impossible`, each second text has no year and its questions no answer (v2.0).
    """
    chance = random.Random(seed)
    articles = []
    for number in range(count):
        text = [chance.choice(WORDS[:18]) for _ in range(words)]
        answers = []
        if not (impossible and number % 2):
            place = chance.randrange(words)
            text[place] = chance.choice(YEARS)
            answers = [{"text": text[place], "answer_start": len(" ".join([*text[:place], ""]))}]
        said = {"is_impossible": not answers} if impossible else {}
        qas = [
            {"id": f"{seed}-{number}-{asked}", "question": f"{asked} ?", "answers": answers, **said}
            for asked in ("when", "which year")
        ]
        context = f"{' '.join(text)} {seed}{number}."
        articles.append({"title": f"t{number}", "paragraphs": [{"context": context, "qas": qas}]})
    return {"version": "v2.0" if impossible else "1.1", "data": articles}


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return str(path)


def examples_of(source: str) -> tuple[Example, ...]:
    return load_corpus(source).examples


def weights(run: Path) -> dict[str, Any]:
    """All saved weights of a finished run."""
    from safetensors.torch import load_file

    return {
        name: weight for file in (run / "adapter").glob("*.safetensors") for name, weight in load_file(file).items()
    }


def without_digests(folder: Path) -> Path:
    """Make of a saved model one of an older version, which has no digests: later checks see what is wrong with it."""
    path = folder / "spantune.json"
    new = ("files", "digest", "encoder_digest")
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key not in new}))
    return folder


def trained_to_be(run: Path) -> Path:
    """Make a run one whose training has given the weights that a test has put into it."""
    from dataclasses import replace

    from spantune.runs import RunRecord
    from spantune.runs.damage import recorded_files
    from spantune.runs.manifest import read_manifest, write_manifest

    write_manifest(run / "adapter", read_manifest(run / "adapter"))
    replace(RunRecord.read(run), files=recorded_files(run)).write(run)
    return run


def same_weights(one: Path, other: Path) -> bool:
    """Whether two runs learned the same, to the last bit."""
    first, second = weights(one), weights(other)
    assert first and first.keys() == second.keys()
    return all(bool((weight == second[name]).all()) for name, weight in first.items())


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no thread pool that a forked process would miss."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """What all workers read and none changes: the first that needs it makes it, under a lock."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def made(name: str, make: Callable[[Path], object]) -> Path:
        done = root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                make(root / name)
                done.touch()
        return root / name

    return made


@pytest.fixture(scope="session")
def bert(shared: Any) -> str:
    return str(shared("bert", make_encoder))


@pytest.fixture(scope="session")
def train_file(shared: Any) -> str:
    """40 texts, 80 questions."""
    return str(shared("train.json", lambda path: write(path, squad(40))))


@pytest.fixture(scope="session")
def dev_file(shared: Any) -> str:
    """10 other texts, 20 questions."""
    return str(shared("dev.json", lambda path: write(path, squad(10, seed=1))))


@pytest.fixture(scope="session")
def settings(bert: str, train_file: str, dev_file: str) -> dict[str, Any]:
    """Of a run that takes a second."""
    return {**SETTINGS, "model": bert, "data": (train_file,), "eval_data": (dev_file,)}


@pytest.fixture
def config(settings: dict[str, Any], tmp_path: Path) -> Any:
    """Makes the configuration of such a run, with changes; the run folder is `tmp_path/name`."""

    def make(name: str = "run", **changes: Any) -> TrainConfig:
        return TrainConfig(**{**settings, "output": str(tmp_path / name), **changes})

    return make


@pytest.fixture(scope="session")
def finished(settings: dict[str, Any], shared: Any) -> RunFolder:
    """A finished run of full fine-tuning that answers most questions."""
    return RunFolder(shared("v1", lambda folder: _train(settings, folder, epochs=3)))


@pytest.fixture(scope="session")
def finished_v2(settings: dict[str, Any], shared: Any) -> RunFolder:
    """A finished run on questions of which half have no answer."""

    def make(folder: Path) -> None:
        files = folder.with_name("v2-data")
        files.mkdir()
        data = {
            "data": (write(files / "train.json", squad(60, impossible=True)),),
            "eval_data": (write(files / "dev.json", squad(16, seed=1, impossible=True)),),
        }
        with pytest.MonkeyPatch.context() as patched:
            without_plots(patched)
            _train(settings, folder, squad_v2=True, epochs=4, **data)

    return RunFolder(shared("v2", make))


def _train(settings: dict[str, Any], output: Path, **changes: Any) -> None:
    from spantune.training import train

    train(TrainConfig(**{**settings, "output": str(output), **changes}))


def without_plots(patched: pytest.MonkeyPatch) -> None:
    """They are a third of a tiny run's time."""
    patched.setattr("spantune.training.run.run_plots", lambda folder: [])
