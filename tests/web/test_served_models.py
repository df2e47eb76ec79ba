"""What is served: runs and studies by their folders, each model with a name and a look of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import ANSWERING

from spantune import zoo
from spantune.errors import RunError
from spantune.runs import RunRecord
from spantune.runs.manifest import MANIFEST, Manifest
from spantune.runs.record import RECORD
from spantune.web import example_questions, served_models
from spantune.web.example_questions import ExampleQuestions

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A run folder with a record alone."""

    def written(name: str, method: str = "lora", **given: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        known = {"status": "finished", "label": method.upper(), "model": "minilm", "seed": 0, **given}
        RunRecord(method=method, **known).write(folder)
        return folder

    return written


def saved(method: str) -> dict[str, Any]:
    """What a v2.0 model says of itself."""
    return Manifest(method, {}, "minilm", "bert", "0", replace(ANSWERING, squad_v2=True)).to_json()


def test_a_run_is_served_under_its_folders_name(write: Write) -> None:
    run = write("lora-0")
    (model,) = served_models.models_in([str(run)])
    assert (model.name, model.label, model.look, model.squad_v2) == ("lora-0", "LORA", "method-0", False)
    (run / "adapter").mkdir()
    (run / "adapter" / MANIFEST).write_text(json.dumps(saved("lora")), encoding="utf-8")
    assert served_models.models_in([str(run)])[0].squad_v2


@pytest.mark.parametrize(("method", "label"), [("ia3", "(IA)³"), ("unheard-of", "mine")])
def test_an_adapter_without_a_run(tmp_path: Path, method: str, label: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / MANIFEST).write_text(json.dumps(saved(method)), encoding="utf-8")
    (model,) = served_models.models_in([str(tmp_path / "mine")])
    assert (model.name, model.label, model.squad_v2, model.record) == ("mine", label, True, None)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1, "settings": []}'])
def test_an_adapter_that_does_not_say_what_it_is_is_called_after_its_folder(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / MANIFEST).write_text(text, encoding="utf-8")
    (model,) = served_models.models_in([str(tmp_path / "mine")])
    assert (model.name, model.label, model.squad_v2) == ("mine", "mine", False), "why it cannot be loaded is said later"


def test_a_study_stands_for_the_lowest_seed_of_each_method_and_encoder(write: Write, tmp_path: Path) -> None:
    for name, method, given in (
        ("s/full-1", "full", {"seed": 1}),
        ("s/full-3", "full", {"seed": 3}),
        ("s/full-0", "full", {"seed": 0, "status": "failed"}),
        ("s/lora-big-0", "lora", {"model": "big"}),
        ("s/lora-mini-0", "lora", {"model": "mini"}),
    ):
        write(name, method, **given)
    models = served_models.models_in([str(tmp_path / "s")])
    assert [one.name for one in models] == ["full-1", "lora-big-0", "lora-mini-0"]
    assert [one.label for one in models] == ["FULL", "LORA (lora-big-0)", "LORA (lora-mini-0)"]
    assert served_models.studies_in([str(tmp_path / "s"), str(tmp_path / "s" / "full-1")]) == (tmp_path / "s",)


def test_names_are_as_long_as_they_must_be_and_each_run_is_there_once(write: Write, tmp_path: Path) -> None:
    one, other = write("one/lora-0"), write("other/lora-0")
    models = served_models.models_in([str(one), str(other), str(tmp_path / "one")])
    assert [model.name for model in models] == ["one/lora-0", "other/lora-0"]
    assert [model.look for model in models] == ["method-0", "method-1"]


def test_the_demo_is_served_where_nothing_is_named(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "no zoo")
    with pytest.raises(RunError, match="there is no model to serve") as refused:
        served_models.what_to_serve(())
    assert "make demo" in (refused.value.fix or "")
    write("studies/demo/ia3-0", "ia3")
    assert served_models.what_to_serve(()) == ("studies/demo",)
    assert served_models.what_to_serve(("runs/x",)) == ("runs/x",)
    write("shipped/lora")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "shipped")
    assert served_models.what_to_serve(()) == ("studies/demo",), "what was trained here goes before what ships"
    assert served_models.what_to_serve(("zoo", "runs/x")) == ("zoo/lora", "runs/x")
    monkeypatch.chdir(tmp_path / "shipped")
    assert served_models.what_to_serve(()) == ("zoo/lora",)
    write("shipped/studies/demo/ia3-0", "ia3", status="interrupted")
    assert served_models.what_to_serve(()) == ("zoo/lora",), "a demo that was stopped has nothing to serve"
    (model,) = served_models.models_in(("zoo/lora",))
    assert model.folder == tmp_path / "shipped" / "lora" and served_models.studies_in(("zoo/lora",)) == ()


def test_a_damaged_record_is_a_broken_model_and_never_one_less(write: Write, tmp_path: Path) -> None:
    for name, method in (("s/full-0", "full"), ("s/lora-0", "lora"), ("s/ia3-0", "ia3")):
        write(name, method)
    (tmp_path / "s" / "lora-0" / RECORD).write_text('{"method": "lo', encoding="utf-8")
    study = str(tmp_path / "s")
    models = served_models.models_in([study, str(tmp_path / "gone")])
    assert [model.name for model in models if not model.fault] == ["full-0", "ia3-0"]
    faults = {model.name: model.fault for model in models if model.fault}
    assert list(faults) == ["lora-0", "gone"] and RECORD in faults["lora-0"] and "no finished run" in faults["gone"]
    assert served_models.studies_in([study, str(tmp_path / "gone")]) == (tmp_path / "s",)
    with pytest.raises(RunError, match=RECORD):
        served_models.models_in([str(tmp_path / "s" / "lora-0")])
    for name in ("full-0", "ia3-0"):
        (tmp_path / "s" / name / RECORD).write_text("", encoding="utf-8")
    with pytest.raises(RunError, match=RECORD):
        served_models.models_in([study])


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_a_run(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "empty"
    if there:
        folder.mkdir()
    with pytest.raises(RunError, match="there is no finished run here"):
        served_models.models_in([str(folder)])


def test_examples_are_from_what_the_runs_were_scored_on(write: Write, tmp_path: Path) -> None:
    rows = [f'{{"id": "{n}", "question": "q{n}?", "context": "c{n // 2}", "answers": []}}' for n in range(8)]
    (tmp_path / "own.jsonl").write_text("\n".join(rows), encoding="utf-8")
    config = {"data": ["sample"], "eval_data": [str(tmp_path / "own.jsonl")], "squad_v2": True, "gone_setting": 1}
    run = write("lora-0", config=config, metrics={"reported": {"em": 1.0, "f1": 1.0}})
    found = ExampleQuestions(served_models.models_in([str(run)]), 100)
    assert len(found) == 0 and found.random_number() is None, "not read yet"
    found.start()
    found.wait(20)
    assert sorted(found[at].question for at in range(len(found))) == [f"q{n}?" for n in range(8)]
    some = found.some(3)
    assert len({one.context for _, one in some}) == 3 and all(found[number] == one for number, one in some)
    number = found.random_number()
    assert number is not None and 0 <= number < 8


def test_without_a_reported_set_the_examples_are_the_samples(
    write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(example_questions, "_KEPT", 5)
    run = write("lora-0", config={"data": ["sample"], "eval_data": ["gone.json"]}, metrics={"reported": {"f1": 1.0}})
    found = ExampleQuestions(served_models.models_in([str(run)]), 5_000)
    found.start()
    found.wait(20)
    assert len(found) == 5 and all(found[at].answers for at in range(5))
    assert not [one for one in caplog.records if one.levelno > logging.INFO], "nobody named that file here"
