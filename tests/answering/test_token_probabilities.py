"""A look inside against brute force: every span of every window is scored one by one."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from tiny import ANSWERING, WORDS, YEARS

from spantune.answering import Panel, Predictor
from spantune.answering.batches import context_mask, model_inputs
from spantune.answering.token_probabilities import Inside
from spantune.answering.windows import make_windows
from spantune.config import PredictorConfig
from spantune.data import Corpus, Example
from spantune.modeling import build, load_tokenizer, save

FP32 = PredictorConfig(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def predictor(bert: str, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A random model whose logits are far apart."""
    model = build(bert, "full", {}, seed=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    folder = tmp_path_factory.mktemp("run") / "full"
    save(model, folder, settings=ANSWERING, tokenizer=load_tokenizer(bert))
    return Predictor.load(folder, FP32)


def text(words: int) -> str:
    chance = random.Random(words)
    return " ".join(chance.choice([*WORDS[:18], *YEARS[:6]]) for _ in range(words))


def brute(predictor: Predictor, example: Example) -> dict[str, Any]:
    """Starts, ends and shares by summing over all spans."""
    rows = make_windows(Corpus.of((example,), "one"), predictor.tokenizer, predictor.rules, cache=False).dataset[:]
    found, nulls = [], []
    for at in range(len(rows["length"])):
        row = {key: [column[at]] for key, column in rows.items()}
        inputs = model_inputs(row, predictor.tokenizer.pad_token_id)
        with torch.inference_mode():
            start, end = (one[0].double().tolist() for one in predictor.model(**inputs))
        tokens = context_mask(row, len(start))[0].nonzero()[:, 0].tolist()
        spans = [
            (i - tokens[0], j - tokens[0], start[i] + end[j])
            for i in tokens
            for j in tokens
            if 0 <= j - i < ANSWERING.max_answer_length
        ]
        found.append((len(tokens), spans))
        nulls.append(start[0] + end[0])
    total = sum(math.exp(score) for _, spans in found for *_, score in spans)
    total += math.exp(min(nulls)) if predictor.squad_v2 else 0.0
    best = [max(score for *_, score in spans) for _, spans in found]
    won = best.index(max(best))
    starts, ends = np.zeros(found[won][0]), np.zeros(found[won][0])
    for i, j, score in found[won][1]:
        starts[i] += math.exp(score) / total
        ends[j] += math.exp(score) / total
    shares = [sum(math.exp(score) for *_, score in spans) / total for _, spans in found]
    return {"starts": starts, "ends": ends, "shares": shares, "won": won, "best": best, "nulls": nulls, "total": total}


@pytest.mark.parametrize("squad_v2", [False, True], ids=["v1.1", "v2.0"])
@pytest.mark.parametrize(("words", "count"), [(1, 1), (9, 1), (30, 1), (95, 3)])
def test_probabilities_are_sums_over_spans(predictor: Predictor, words: int, count: int, squad_v2: bool) -> None:
    asked = Predictor(predictor.model, predictor.tokenizer, dataclasses.replace(ANSWERING, squad_v2=squad_v2), FP32)
    example = Example("q", "when ?", text(words))
    seen, wanted = asked.inside(example), brute(asked, example)
    assert seen.won == wanted["won"] and len(seen.windows) == len(wanted["best"])
    assert len(seen.windows) == count
    assert seen.starts == pytest.approx(wanted["starts"], rel=1e-4, abs=1e-9)
    assert seen.ends == pytest.approx(wanted["ends"], rel=1e-4, abs=1e-9)
    assert [one.share for one in seen.windows] == pytest.approx(wanted["shares"], rel=1e-4)
    assert [one.score for one in seen.windows] == pytest.approx(wanted["best"], rel=1e-4, abs=1e-4)
    assert [one.null_score for one in seen.windows] == pytest.approx(wanted["nulls"], rel=1e-4, abs=1e-4)
    null = math.exp(min(wanted["nulls"])) / wanted["total"] if squad_v2 else 0.0
    assert seen.null_probability == pytest.approx(null, rel=1e-4)
    assert sum(one.share for one in seen.windows) + seen.null_probability == pytest.approx(1)


def test_it_agrees_with_the_answer(predictor: Predictor) -> None:
    for words in (9, 95):
        example = Example("q", "which year ?", text(words))
        seen, answer = predictor.inside(example), predictor.ask(example.question, example.context)
        (first,) = np.flatnonzero(seen.spans[:, 0] == answer.n_best[0].start)
        (last,) = np.flatnonzero(seen.spans[:, 1] == answer.n_best[0].end)
        assert max(one.score for one in seen.windows) == pytest.approx(answer.n_best[0].score, abs=1e-4)
        window = seen.windows[seen.won]
        assert window.start <= answer.n_best[0].start and answer.n_best[0].end <= window.end
        if words == 9:  # one window: the span's own share is part of both sums
            assert seen.starts[first] >= answer.n_best[0].probability - 1e-6
            assert seen.ends[last] >= answer.n_best[0].probability - 1e-6


def test_tokens_have_their_characters(predictor: Predictor) -> None:
    seen = predictor.inside(Example("q", "when ?", "  the old\tmill  1803"))
    assert [tuple(one) for one in seen.spans.tolist()] == [(2, 5), (6, 9), (10, 14), (16, 20)]
    assert (seen.windows[0].start, seen.windows[0].end) == (2, 20)


def test_a_context_without_tokens_and_a_broken_model(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = predictor.inside(Example("q", "when ?", "\u200b"))
    assert len(nothing.starts) == 0 and nothing.windows[0].share == 0
    real = predictor.model.forward

    def broken(**inputs: Any) -> Any:
        return type(real(**inputs))(*(one * float("nan") for one in real(**inputs)))

    monkeypatch.setattr(predictor.model, "forward", broken)
    seen = predictor.inside(Example("q", "when ?", text(9)))
    assert not seen.starts.any() and seen.windows[0].share == 0


def test_a_panel_looks_inside_each_of_its_models(predictor: Predictor) -> None:
    panel = Panel({"one": predictor, "other": predictor})
    example = Example("q", "when ?", text(9))
    alone: Inside = predictor.inside(example)
    for names in (None, ["other"]):
        found = panel.inside(example, names=names)
        assert list(found) == list(names or ["one", "other"])
        for one in found.values():
            for field in dataclasses.fields(Inside):
                assert np.array_equal(getattr(one, field.name), getattr(alone, field.name)), field.name


def test_a_panel_tells_the_time_of_each_model_and_asks_some_alone(predictor: Predictor) -> None:
    panel = Panel({"one": predictor, "other": predictor})
    examples = [Example(str(at), "when ?", text(9)) for at in range(3)]
    found = panel.answer(examples, names=["other", "unheard of"])
    assert list(found) == ["other"] and found["other"].windows == 3 and found["other"].seconds > 0
    assert found["other"].predictions == panel.predict(examples)["one"]
    assert panel.answer([], names=["one"])["one"].predictions == []
