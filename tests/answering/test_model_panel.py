"""Several models asked together: each answers as alone, weights and windows are there once, threads take turns."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ANSWERING, WORDS, YEARS, make_encoder
from torch import nn

from spantune.answering import Panel, Predictor
from spantune.answering import model_panel as panels
from spantune.answering import windows as cutting
from spantune.answering.engine import CorpusAnswers
from spantune.config import PredictorConfig
from spantune.data import Example
from spantune.data.prediction import Prediction
from spantune.errors import ConfigError, DataError, RunError
from spantune.modeling import build, load_tokenizer, save
from spantune.modeling.kernels.threads import threads

METHODS = ("full", "lora", "ia3", "bitfit", "prefix-tuning", "prompt-tuning")
SMALL: dict[str, dict[str, Any]] = {"lora": {"rank": 4}, "prefix-tuning": {"length": 5}, "prompt-tuning": {"length": 5}}
FP32, BF16 = (PredictorConfig(device="cpu", precision=one) for one in ("fp32", "bf16"))  # type: ignore[arg-type]


def saved(folder: Path, encoder: str, method: str, *, seed: int = 0, **settings: Any) -> Path:
    """A model as if it had learned something."""
    model = build(encoder, method, SMALL.get(method, {}), seed=seed)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.2 * torch.randn(weight.shape, generator=chance)
    save(model, folder, settings=replace(ANSWERING, **settings), tokenizer=load_tokenizer(encoder))
    return folder


@pytest.fixture(scope="module")
def runs(bert: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each method, on one encoder."""
    folder = tmp_path_factory.mktemp("runs")
    return {method: saved(folder / method, bert, method, seed=row) for row, method in enumerate(METHODS)}


@pytest.fixture(scope="module")
def alone_of(runs: dict[str, Path]) -> dict[PredictorConfig, dict[str, list[Prediction]]]:
    """What each model answers by itself."""
    return {config: alone(runs, config, many()) for config in (FP32, BF16)}


@pytest.fixture(scope="module")
def panel(runs: dict[str, Path]) -> Panel:
    return Panel.load(runs.values(), FP32)


@pytest.fixture
def two_threads() -> Iterator[None]:
    with threads(2):
        yield


def text(words: int, seed: int) -> str:
    chance = random.Random(seed)
    return " ".join([chance.choice(YEARS), *(chance.choice(WORDS[:18]) for _ in range(words))])


def many(count: int = 11) -> list[Example]:
    """Questions on contexts of one to several windows."""
    return [Example(f"q{n}", ("when ?", "which year ?")[n % 2], text(5 + 17 * (n % 6), n)) for n in range(count)]


def alone(runs: dict[str, Path], config: PredictorConfig, examples: Sequence[Example]) -> dict[str, list[Prediction]]:
    return {str(run): Predictor.load(run, config).predict(examples) for run in runs.values()}


def bytes_held(*predictors: Predictor) -> int:
    held = {
        weight.data_ptr(): weight.untyped_storage().nbytes() for one in predictors for weight in one.model.parameters()
    }
    return sum(held.values())


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of examples that were tokenised, at each time."""
    counted: list[int] = []
    real: Callable[..., Any] = cutting.cut_windows

    def count(examples: Sequence[Example], *given: Any) -> Any:
        counted.append(len(examples))
        return real(examples, *given)

    monkeypatch.setattr(cutting, "cut_windows", count)
    return counted


@pytest.mark.parametrize(
    ("threads", "config"),
    [
        pytest.param(1, FP32, id="1-fp32"),
        pytest.param(2, BF16, id="2-bf16"),
        pytest.param(1, BF16, id="1-bf16", marks=pytest.mark.exhaustive),
        pytest.param(2, FP32, id="2-fp32", marks=pytest.mark.exhaustive),
    ],
)
def test_each_answers_as_it_does_alone(
    threads: int,
    config: PredictorConfig,
    runs: dict[str, Path],
    alone_of: dict[PredictorConfig, dict[str, list[Prediction]]],
    request: pytest.FixtureRequest,
) -> None:
    if threads == 2:
        request.getfixturevalue("two_threads")
    together = Panel.load(runs.values(), config)
    assert together.predict(many()) == alone_of[config]
    assert list(together.predict(many(2))) == [str(run) for run in runs.values()], "as they were given, not as measured"
    first = many()[5]
    assert len({str(one) for one in together.ask(first.question, first.context).values()}) == len(runs), "they differ"


def test_what_nobody_changed_is_there_once(runs: dict[str, Path]) -> None:
    whole = bytes_held(Predictor.load(runs["ia3"], FP32))
    for config, share in ((FP32, 1.0), (BF16, 0.8)):
        together = Panel.load([runs[name] for name in METHODS if name != "full"], config).predictors
        changed = [one for loaded in together.values() for one in loaded.model.parameters() if one.requires_grad]
        assert bytes_held(*together.values()) <= share * whole + sum(one.nbytes for one in changed)
    linear = [one for one in together[str(runs["ia3"])].model.modules() if type(one) is nn.Linear]
    assert {one.weight.dtype for one in linear} == {torch.bfloat16}, "stored as it is multiplied"


def test_loading_never_holds_many_copies(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    real = panels.share_encoder

    def share(models: Any) -> int:
        words = {one.network.get_input_embeddings().weight.data_ptr() for one in models}
        counted.append(len(words))
        return real(models)

    monkeypatch.setattr(panels, "share_encoder", share)
    made = Panel.load([runs[name] for name in ("lora", "ia3", "prefix-tuning", "prompt-tuning")], FP32)
    assert counted == [1, 2, 2, 2]
    models = [one.model for one in made.predictors.values()]
    assert len({one.network.get_input_embeddings().weight.data_ptr() for one in models}) == 1


def test_a_context_is_cut_once_a_request(panel: Panel, cuts: list[int]) -> None:
    panel.ask("when ?", text(100, 1))
    assert cuts == [1]
    panel.predict(many(7))
    assert cuts == [1, 7]


def test_other_lengths_need_other_windows(runs: dict[str, Path], bert: str, cuts: list[int], tmp_path: Path) -> None:
    shorter = {**runs, "shorter": saved(tmp_path / "shorter", bert, "ia3", max_length=30)}
    examples = many(4)
    found = Panel.load(shorter.values(), FP32).predict(examples)
    assert cuts == [4, 4]
    assert found == alone(shorter, FP32, examples)


def test_several_encoders_on_one_panel(
    runs: dict[str, Path], tiny_of: Callable[[str], Path], cuts: list[int], tmp_path: Path
) -> None:
    wide = make_encoder(tmp_path / "wide", seed=9, hidden=64)
    mixed = {
        "narrow": runs["lora"],
        "wide": saved(tmp_path / "wide-lora", wide, "lora"),
        "other words": saved(tmp_path / "other-lora", str(tiny_of("bert")), "lora"),
        "narrow too": runs["ia3"],
    }
    together, examples = Panel.load(mixed.values(), FP32), many(3)
    found = together.predict(examples)
    assert cuts == [3, 3], "two vocabularies"
    assert found == alone(mixed, FP32, examples)
    words = [one.model.network.get_input_embeddings().weight.data_ptr() for one in together.predictors.values()]
    assert words[0] == words[3] and len(set(words)) == 3
    tokenizers = [id(one.tokenizer) for one in together.predictors.values()]
    assert tokenizers[0] == tokenizers[1] == tokenizers[3] != tokenizers[2]


def test_a_run_that_is_named_twice_is_asked_once(runs: dict[str, Path]) -> None:
    twice = Panel.load([runs["lora"], str(runs["lora"]), runs["ia3"]], FP32)
    assert list(twice.ask("when ?", text(5, 0))) == [str(runs["lora"]), str(runs["ia3"])]


def test_names_of_ones_own(runs: dict[str, Path]) -> None:
    named = Panel({"left": Predictor.load(runs["lora"], BF16), "right": Predictor.load(runs["ia3"], BF16)})
    assert list(named.ask("when ?", text(5, 0), n_best=3)) == ["left", "right"]
    assert {len(one.n_best) for one in named.ask("when ?", text(5, 0), n_best=3).values()} == {3}


@pytest.mark.parametrize(("question", "context"), [("", "text"), (" \n", "text"), ("when ?", ""), ("when ?", "\t")])
def test_empty_input(question: str, context: str, panel: Panel) -> None:
    with pytest.raises(DataError, match="is empty"):
        panel.ask(question, context)


def test_nothing_to_ask(panel: Panel, runs: dict[str, Path], tmp_path: Path) -> None:
    assert panel.predict([]) == {str(run): [] for run in runs.values()}
    for make in (lambda: Panel({}), lambda: Panel.load([])):
        with pytest.raises(ConfigError, match="there is no model to ask"):
            make()
    with pytest.raises(RunError, match="there is no trained model here"):
        Panel.load([runs["lora"], tmp_path])


@pytest.mark.usefixtures("two_threads")
def test_many_threads_may_ask(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    together = Panel.load([runs["lora"], runs["ia3"]], FP32)
    examples = many(12)
    wanted = [together.ask(one.question, one.context) for one in examples]
    start, at_work, at_once = threading.Barrier(4), list[int](), set[int]()
    real = Predictor.predict_windows

    def predict_windows(self: Predictor, windows: Any, *, n_best: int) -> Any:
        at_work.append(id(windows))
        at_once.add(len(set(at_work)))
        done = real(self, windows, n_best=n_best)
        at_work.remove(id(windows))
        return done

    def ask(share: int) -> list[dict[str, Prediction]]:
        start.wait()
        return [together.ask(one.question, one.context) for one in examples[share::4]]

    monkeypatch.setattr(Predictor, "predict_windows", predict_windows)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert [answers == wanted[share::4] for share, answers in enumerate(found)] == [True] * 4
    assert at_once == {1}, "one request at a time"


@pytest.mark.usefixtures("two_threads")
def test_each_side_has_its_share_of_the_threads(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    real = Predictor.predict_windows

    def predict_windows(*given: Any, **named: Any) -> Any:
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return real(*given, **named)

    monkeypatch.setattr(Predictor, "predict_windows", predict_windows)
    Panel.load([runs["lora"], runs["ia3"], runs["full"]], FP32).ask("when ?", text(60, 0))
    assert all(name.startswith("spantune-panel") and threads == 1 for name, threads in seen) and len(seen) == 3
    assert torch.get_num_threads() == 2
    seen.clear()
    Panel.load([runs["lora"]], FP32).ask("when ?", text(60, 0))
    assert seen == [(threading.main_thread().name, 2)], "a single model has all of them"


@pytest.mark.usefixtures("two_threads")
def test_a_model_that_fails_leaves_the_panel_usable(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    together = Panel.load([runs["lora"], runs["ia3"]], FP32)
    wanted = together.ask("when ?", text(9, 0))
    ended: list[str] = []

    def fails(**_: Any) -> None:
        raise MemoryError("none left")

    def takes_its_time(**_: Any) -> None:
        time.sleep(0.3)
        ended.append("the other one")
        raise MemoryError("none left here, either")

    lora, ia3 = (one.model for one in together.predictors.values())
    with monkeypatch.context() as patch, pytest.raises(MemoryError, match="none left"):
        patch.setattr(lora, "forward", fails)
        patch.setattr(ia3, "forward", takes_its_time)
        together.ask("when ?", text(9, 0))
    assert ended and torch.get_num_threads() == 2
    assert together.ask("when ?", text(9, 0)) == wanted


def test_the_slowest_begins(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    together = Panel.load([runs["lora"], runs["ia3"], runs["full"]], FP32)
    asked: list[Predictor] = []
    seconds = dict(zip(map(id, together.predictors.values()), (1.0, 3.0, 2.0), strict=True))

    def predict_windows(self: Predictor, *_: Any, **__: Any) -> CorpusAnswers:
        asked.append(self)
        return CorpusAnswers(seconds=seconds[id(self)], windows=1)

    monkeypatch.setattr(Predictor, "predict_windows", predict_windows)
    for _ in range(2):
        together.predict(many(1))
    lora, ia3, full = together.predictors.values()
    assert asked == [lora, ia3, full, ia3, full, lora]


def test_merged_models_answer_alike(
    runs: dict[str, Path], alone_of: dict[PredictorConfig, dict[str, list[Prediction]]]
) -> None:
    together = Panel.load(runs.values(), PredictorConfig(device="cpu", precision="fp32", merge=True))
    for name, answers in together.predict(many()).items():
        for one, other in zip(answers, alone_of[FP32][name], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
    names = [name for one in together.predictors.values() for name, _ in one.model.named_parameters()]
    assert names and not any(".base_layer." in name for name in names)
