"""The app over two tiny models that are really there: loaded from their folders, asked, looked into."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from made_panel import of

from spantune.config import ServeConfig
from spantune.errors import SpantuneError
from spantune.modeling import build, load_tokenizer, save
from spantune.runs.manifest import MANIFEST
from spantune.runs.record import RECORD
from spantune.web import create_app
from spantune.web.served_models import Runs, models_in, studies_in

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import ANSWERING, WORDS, YEARS, make_encoder

CONTEXT = " ".join(random.Random(0).choice([*WORDS[:18], *YEARS]) for _ in range(120))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("real")
    encoder = make_encoder(folder / "bert")
    for method, squad_v2 in (("full", False), ("ia3", True)):
        save(
            build(encoder, method, {}, seed=0),
            folder / method,
            settings=replace(ANSWERING, squad_v2=squad_v2),
            tokenizer=load_tokenizer(encoder),
        )
    config = ServeConfig(device="cpu", precision="fp32", data_dir=str(folder / "data"))
    app = create_app(config, Runs(models_in([str(folder / "full"), str(folder / "ia3")]), config))
    assert of(app).answerer.wait_until_loaded(60), of(app).answerer.failure
    yield app.test_client()
    of(app).answerer.close(20)


def test_one_broken_model_leaves_the_others_serving(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path / "bert")
    for name in ("a", "b", "weightless", "nameless"):
        save(build(encoder, "ia3", {}, seed=0), tmp_path / name, settings=ANSWERING, tokenizer=load_tokenizer(encoder))
    for path in (tmp_path / "weightless").rglob("*.safetensors"):
        path.write_bytes(b"")
    (tmp_path / "nameless" / MANIFEST).write_text("{", encoding="utf-8")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / RECORD).write_text('{"status": "fini', encoding="utf-8")
    named = [str(tmp_path / name) for name in ("weightless", "a", "nameless", "gone", "damaged", "b")]
    config = ServeConfig(device="cpu", precision="fp32", data_dir=str(tmp_path / "data"))
    app = create_app(config, Runs(models_in(named), config), studies_in(named))
    assert of(app).answerer.wait_until_loaded(60), of(app).answerer.failure
    try:
        client = app.test_client()
        answered = client.post("/api/answer", json={"questions": [{"question": "when ?", "context": CONTEXT}]}).json
        assert answered is not None and list(answered["answers"][0]["models"]) == ["a", "b"]
        broken = client.get("/healthz").json["broken"]  # type: ignore[index]
        assert set(broken) == {"weightless", "nameless", "gone", "damaged"}
        assert "safetensors" in broken["weightless"] and RECORD in broken["damaged"] and "gone" in broken["gone"]
        assert not any(str(tmp_path) in reason for reason in broken.values()), "no path of the machine"
        assert "cannot answer" in client.get("/").text
    finally:
        of(app).answerer.close(20)
    only = Runs(models_in(named[:1]), config)
    with pytest.raises(SpantuneError, match="safetensors"):
        only.load()


def test_answers_are_spans_of_the_context(real: FlaskClient) -> None:
    body = {"questions": [{"question": "when ?", "context": CONTEXT}, {"question": "who ?", "context": "ada in 1803"}]}
    found = real.post("/api/answer", json=body).json
    assert found is not None
    for asked, answer in zip(body["questions"], found["answers"], strict=True):
        assert list(answer["models"]) == ["full", "ia3"]
        for one in answer["models"].values():
            assert asked["context"][one["start"] : one["end"]] == one["answer"]
            assert all(asked["context"][two["start"] : two["end"]] == two["text"] for two in one["n_best"])
        assert answer["models"]["full"]["null_probability"] == 0 < answer["models"]["ia3"]["null_probability"]
    assert all(one["milliseconds"] > 0 and one["questions"] == 2 for one in found["timing"].values())


def test_a_look_inside_has_all_windows(real: FlaskClient) -> None:
    seen = real.post("/api/inspect", json={"question": "when ?", "context": CONTEXT, "models": ["ia3"]}).json
    assert seen is not None
    one = seen["models"]["ia3"]
    assert len(one["windows"]) > 3 and one["windows"][0]["start"] == 0 and one["windows"][-1]["end"] == len(CONTEXT)
    assert sum(window["share"] for window in one["windows"]) + one["null_probability"] == pytest.approx(1, abs=1e-4)
    assert all(CONTEXT[token["start"] : token["end"]] == token["text"] for token in one["tokens"])
    assert sum(token["begins"] for token in one["tokens"]) == pytest.approx(
        one["windows"][one["won"]]["share"], abs=1e-4
    )


def test_pages_show_what_the_models_say(real: FlaskClient) -> None:
    page = real.post("/", data={"question": "when ?", "context": CONTEXT, "answers": "1803", "inside": "1"}).text
    assert page.count('<li class="card') == 2 and '<table class="strip">' in page and "Window that won" in page
    assert "no answer" in page, "the one of v2.0 says how probable that is"


def test_a_document_names_the_line_of_an_answer(real: FlaskClient) -> None:
    asked = {"question": "when ?", "context": CONTEXT.replace(" ", "\n")}
    found = real.post("/api/answer", json={"questions": [asked]}).json
    assert found is not None
    answer = found["answers"][0]["models"]["full"]
    line = asked["context"].count("\n", 0, answer["start"]) + 1
    page = real.post("/documents", data={"question": "when ?", "text": asked["context"], "model": "full"}).text
    assert answer["answer"] and f'<span class="chip">line {line}</span>' in page


@pytest.mark.parametrize("context", ["\u200b", "x" * 19_000, "\u202e\u2066\u00ad", "🎲" * 500, "\n\n.\n"])
def test_odd_contexts_are_answered(real: FlaskClient, context: str) -> None:
    assert real.post("/", data={"question": "when ?", "context": context, "inside": "1"}).status_code == 200
