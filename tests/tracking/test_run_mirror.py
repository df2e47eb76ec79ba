"""The MLflow mirror: everything in one run, a truthful status, and no harm when the server is away."""

import io
import json
import logging
import os
import socket
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import ANSWERING

from spantune.config import TrainConfig
from spantune.runs import History, ParameterCount, RunFolder, RunRecord, Timings
from spantune.tracking.client import quiet
from spantune.tracking.mirrors import RunMirror
from spantune.tracking.trackers import trackers_of
from spantune.training.run_recorder import run_sheet

LONG = "sentence " * 1000
PARAMS = {"method": "full", "learning_rate": 1e-3, "data": ["a.json", "b.json"], "seed": 0, "long": LONG, "rank": None}
RECORD = RunRecord(
    status="finished",
    method="lora",
    label="Full fine-tuning",
    model="tiny",
    seed=0,
    parameters=ParameterCount(10, 100, 2),
    timings=Timings(train_seconds=12.5, eval_seconds=1.0, wall_seconds=15.0, examples_per_second=20.0),
    metrics={"selection": {"em": 30.0, "f1": 40.0}, "reported": {"em": 31.0, "f1": 41.0, "odd": None}},
    adapter_bytes=400,
    peak_memory_bytes=10**9,
    steps=4,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store whose tables are made: copying it is faster than making them for each test. Making them is quiet."""
    pytest.importorskip("mlflow")
    parent = tmp_path_factory.mktemp("template")
    folder, said = RunFolder(Path("store/run")), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
        patched.chdir(parent)
        folder.path.mkdir(parents=True)
        mirror = RunMirror(TrainConfig(output=str(folder.path)))
        mirror.start({})
        assert mirror.problem is None
    assert said.getvalue() == ""
    assert [one.name for one in parent.iterdir()] == ["store"], "nothing in the current folder"
    return parent / "store" / "mlflow.db"


@pytest.fixture
def folder(tmp_path, template, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MLflow's own default store would appear
    folder = RunFolder(tmp_path / "runs with space" / "lora-0")
    folder.prepare()
    (folder.path.parent / "mlflow.db").write_bytes(template.read_bytes())
    RECORD.write(folder.path)
    folder.config.write_text("method: lora\n")
    folder.plots.mkdir()
    (folder.plots / "loss.png").write_bytes(b"png")
    return folder


def client_of(folder):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder.path.parent}/mlflow.db")


def artifacts(client, run_id):
    """Paths of all files of a run."""
    found, open_folders = [], [None]
    while open_folders:
        for one in client.list_artifacts(run_id, open_folders.pop()):
            (open_folders if one.is_dir else found).append(one.path)
    return sorted(found)


def config(folder, **changes):
    return TrainConfig(method="lora", output=str(folder.path), experiment="other", **changes)


def start(folder, params=PARAMS, **changes):
    (mirror,) = trackers_of(config(folder, **changes))
    mirror.start(params)
    return mirror


def finish(mirror, record=RECORD):
    record.write(mirror.folder)
    mirror.finish(record.status, record.reason)


def small_adapter(folder):
    folder.adapter.mkdir()
    (folder.adapter / "adapter_model.safetensors").write_bytes(b"weights")


def test_one_run_holds_parameters_metrics_files_and_model(folder):
    small_adapter(folder)
    tracking = start(folder)
    for step in (1, 2, 3):
        tracking.log_metrics({"loss": 3.0 / step, "selection_f1": None}, step)
    finish(tracking, RECORD)
    assert tracking.problem is None

    client = client_of(folder)
    (run,) = client.search_runs([client.get_experiment_by_name("other").experiment_id])
    assert (run.info.status, run.info.run_name, run.info.run_id) == ("FINISHED", "lora-0", tracking.run_id)
    assert run.data.params.keys() == PARAMS.keys()
    assert run.data.params["data"] == '["a.json", "b.json"]'
    assert [(one.step, one.value) for one in client.get_metric_history(tracking.run_id, "loss")] == [
        (1, 3.0),
        (2, 1.5),
        (3, 1.0),
    ]
    metrics = run.data.metrics
    assert (metrics["train_seconds"], metrics["reported_f1"], metrics["best_selection_f1"]) == (12.5, 41.0, 40.0)
    assert not {"selection_f1", "reported_odd"} & metrics.keys()
    found = {"adapter/adapter_model.safetensors", "config.yaml", "params.json", "plots/loss.png", "record.json"}
    assert found <= set(artifacts(client, tracking.run_id))
    (version,) = client.search_model_versions("name = 'spantune-lora'")
    assert (int(version.version), version.run_id) == (1, tracking.run_id)
    (model,) = run.outputs.model_outputs
    assert client.get_logged_model(model.model_id).status == "READY"


def test_long_parameters_are_cut_and_whole_in_an_artifact(folder):
    tracking = start(folder)
    client = client_of(folder)
    shown = client.get_run(tracking.run_id).data.params["long"]
    assert 5900 < len(shown) <= 6000 and LONG.startswith(shown[:5900])
    whole = json.loads(Path(client.download_artifacts(tracking.run_id, "params.json")).read_text())
    assert whole["long"] == LONG


@pytest.mark.parametrize(
    ("status", "expected"), [("failed", "FAILED"), ("interrupted", "KILLED"), ("finished", "FINISHED")]
)
def test_the_status_is_true_and_only_a_finished_run_has_a_model(folder, status, expected):
    small_adapter(folder)
    tracking = start(folder)
    finish(tracking, replace(RECORD, status=status, reason="the loss is not finite"))
    run = client_of(folder).get_run(tracking.run_id)
    assert run.info.status == expected
    assert run.data.tags["reason"] == "the loss is not finite"
    assert bool(client_of(folder).search_registered_models()) == (status == "finished")


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(folder):
    first = start(folder)
    for step in (1, 2, 3):
        first.log_metrics({"loss": float(step)}, step)
    finish(first, replace(RECORD, status="interrupted"))

    PARAMS_AGAIN = PARAMS | {"seed": 1, "resume": True}
    second = start(folder, PARAMS_AGAIN)
    assert (second.problem, second.run_id) == (None, first.run_id)
    assert client_of(folder).get_run(first.run_id).info.status == "RUNNING"
    for step in (3, 4):
        second.log_metrics({"loss": float(step)}, step)
    finish(second, replace(RECORD, status="failed", timings=Timings(train_seconds=25.0)))

    run = client_of(folder).get_run(first.run_id)
    assert [one.step for one in client_of(folder).get_metric_history(first.run_id, "loss")] == [1, 2, 3, 4]
    assert run.data.metrics["train_seconds"] == 25.0
    assert (run.data.params["seed"], run.data.params["resume"], run.info.status) == ("0", "true", "FAILED")


def test_what_a_killed_run_had_not_sent_is_sent_when_it_is_resumed(folder):
    first = start(folder)
    history = History(folder.history)
    for step in (1, 2):
        history.append(step=step, epoch=step / 2, loss=float(step))
        first.log_metrics({"loss": float(step)}, step)  # waits in the process, which is killed
    start(folder)
    logged = client_of(folder).get_metric_history(first.run_id, "loss")
    assert [(one.step, one.value) for one in logged] == [(1, 1.0), (2, 2.0)]


def test_a_deleted_mlflow_run_is_replaced(folder):
    first = start(folder)
    client_of(folder).delete_run(first.run_id)
    second = start(folder)
    assert second.run_id != first.run_id
    folder.tracking.write_text('{"tracking_uri": "' + second.uri + '", "run_id": "' + "0" * 32 + '"}')
    assert start(folder).run_id not in (first.run_id, second.run_id)


def test_switched_off_it_leaves_no_trace(folder):
    assert trackers_of(config(folder, mlflow=False)) == ()


def whole_run(folder, **changes):
    tracking = start(folder, **changes)
    for step in range(5):
        tracking.log_metrics({"loss": 1.0}, step)
    finish(tracking, RECORD)
    return tracking


def test_a_server_that_is_not_there_costs_one_warning_and_no_time(folder, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    tracking = whole_run(folder, tracking_uri=f"http://me:secret@127.0.0.1:{port}")
    assert time.monotonic() - began < 5
    (warning,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert f"http://127.0.0.1:{port} does not follow" in warning and "secret" not in warning
    assert tracking.problem and not folder.tracking.exists()


def test_a_server_that_never_answers_is_given_up(folder, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        began = time.monotonic()
        whole_run(folder, tracking_uri=f"http://127.0.0.1:{deaf.getsockname()[1]}")
    assert time.monotonic() - began < 5
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


def test_the_record_of_a_run_says_that_the_server_was_away(tmp_path):
    settings = TrainConfig(output=str(tmp_path), tracking_uri="http://me:secret@127.0.0.1:9")
    with run_sheet(settings, RunFolder(tmp_path), None) as sheet:
        sheet.start_tracking()
        sheet.close("finished")
    record = RunRecord.read(tmp_path)
    assert record.status == "finished"
    (note,) = record.notes
    assert note.startswith("not tracked: ") and "127.0.0.1" in note and "secret" not in note


def test_an_address_that_makes_no_sense_costs_one_warning(folder, caplog):
    whole_run(folder, tracking_uri="gopher://x")
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


def test_a_server_that_dies_midway_costs_one_warning_and_gets_all_when_it_is_back(folder, caplog, monkeypatch):
    from mlflow import MlflowClient

    small_adapter(folder)
    monkeypatch.setattr("spantune.tracking.client._FLUSH_SECONDS", -1.0)
    tracking = start(folder)
    log_batch, calls = MlflowClient.log_batch, []

    def dead(*_, **__):
        calls.append(1)
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(MlflowClient, "log_batch", dead)
    for step in range(20):
        tracking.log_metrics({"loss": float(step)}, step)
    assert (len(calls), tracking.problem) == (1, "the server is gone")
    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    finish(tracking, RECORD)
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1
    run = client_of(folder).get_run(tracking.run_id)
    assert run.info.status == "FINISHED" and "mirror_incomplete" not in run.data.tags
    assert len(client_of(folder).get_metric_history(tracking.run_id, "loss")) == 20


def test_a_model_that_cannot_be_logged_leaves_the_status_true(folder, monkeypatch, caplog):
    from mlflow import MlflowClient

    def refuse(*_, **__):
        raise PermissionError("no registry here")

    small_adapter(folder)
    monkeypatch.setattr(MlflowClient, "create_registered_model", refuse)
    tracking = start(folder)
    finish(tracking, RECORD)
    run = client_of(folder).get_run(tracking.run_id)
    assert (run.info.status, run.data.tags["mirror_incomplete"]) == ("FINISHED", "no registry here")
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


def test_ctrl_c_is_not_swallowed(folder, monkeypatch):
    from mlflow import MlflowClient

    def stop(*_, **__):
        raise KeyboardInterrupt

    tracking = start(folder)
    monkeypatch.setattr(MlflowClient, "log_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        finish(tracking, RECORD)


def test_it_is_quiet_and_leaves_mlflow_as_it_was(folder, tmp_path, capfd, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    small_adapter(folder)
    uri, environment = mlflow.get_tracking_uri(), dict(os.environ)
    levels = [logging.getLogger(name).level for name in ("", "mlflow", "alembic", "urllib3")]
    finish(start(folder))
    assert capfd.readouterr() == ("", "")
    assert (mlflow.get_tracking_uri(), mlflow.active_run(), dict(os.environ)) == (uri, None, environment)
    assert [logging.getLogger(name).level for name in ("", "mlflow", "alembic", "urllib3")] == levels
    assert [one.name for one in tmp_path.iterdir()] == ["runs with space"], "nothing in the current folder"
    assert sorted(one.name for one in folder.path.parent.iterdir()) == ["lora-0", "mlartifacts", "mlflow.db"]


def test_a_users_own_settings_win(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    with quiet(seconds=3):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "3"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "7"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_an_address_is_logged_without_its_secrets(folder):
    tracking = start(folder, {"tracking_uri": "https://me:secret@host"})
    assert client_of(folder).get_run(tracking.run_id).data.params["tracking_uri"] == "https://host"


def test_the_logged_model_answers(folder, tiny_bert):
    import mlflow
    import pandas as pd

    from spantune.answering import Predictor
    from spantune.modeling import build, load_tokenizer, save

    name = str(tiny_bert)
    save(build(name, "full"), folder.adapter, settings=ANSWERING, tokenizer=load_tokenizer(name))
    tracking = start(folder)
    finish(tracking, RECORD)
    assert tracking.problem is None

    question = {"question": "Who built the mill?", "context": "Ada Moor built the old mill in 1841."}
    asked = Predictor.load(folder.adapter).ask(**question)
    expected = {"answer": asked.text, "probability": asked.probability, "start": asked.start, "end": asked.end}
    with mlflow.tracking._tracking_service.utils._use_tracking_uri(tracking.uri):
        for address in (f"runs:/{tracking.run_id}/model", "models:/spantune-lora/1"):
            model = mlflow.pyfunc.load_model(address)
            for given in (question, [question, question], pd.DataFrame([question])):
                answers = model.predict(given).to_dict("records")
                assert len(answers) == (2 if isinstance(given, list) else 1)
                assert answers[0] == pytest.approx(expected)
        with pytest.raises(Exception, match="context"):
            model.predict({"question": "Who built the mill?"})
        with pytest.raises(Exception, match="the context is empty"):
            model.predict(question | {"context": " "})
        files = [one.name for one in Path(mlflow.artifacts.download_artifacts("models:/spantune-lora/1")).rglob("*")]
    assert "logged_model.py" in files and not [one for one in files if one.endswith(".pkl")]
    assert "requirements.txt" in files
