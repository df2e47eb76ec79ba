"""The issue's list of bad input, through the real command line: one clear message, its exit code, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import make_encoder, squad, write

from spantune.cli.main import main
from spantune.runs import RunFolder, RunRecord


@pytest.fixture(scope="module")
def finished(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy: commands write into the folder."""
    return RunFolder(Path(shutil.copytree(finished.path, tmp_path_factory.mktemp("copy") / "v1")))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command line in `tmp_path`; exit code, standard output and standard error without progress bars."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spantune.training.run.run_plots", lambda folder: [])

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, "\n".join(line for line in err.splitlines() if "it/s]" not in line and "s/it]" not in line)

    return run


@pytest.fixture
def train(call: Callable[..., Any], bert: str, train_file: str) -> Callable[..., Any]:
    """`spantune train` on the tiny encoder; the words given come last and win."""
    shared = "--method head-only --epochs 0.1 --max-length 48 --doc-stride 12 --selection-fraction 0.2 --device cpu"

    def run(*words: str) -> Any:
        given = [str(word) for word in words]
        default = [] if "--data" in given else ["--data", train_file]
        encoder = [] if "--model" in given else ["--model", bert]
        return call("train", *shared.split(), "--precision", "fp32", "--no-mlflow", *default, *encoder, *given)

    return run


def refused(result: tuple[int, str, str], *words: str) -> str:
    """The user's mistake: exit code 2, all the words in one message, no traceback."""
    code, _, err = result
    assert code == 2, err
    for word in words:
        assert word in err, f"{word!r} is not in:\n{err}"
    assert "Traceback" not in err
    return err


def article(context: str, *questions: dict[str, Any]) -> dict[str, Any]:
    return {"data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def asked(text: str, start: Any, id: str = "q1", question: str = "when ?") -> dict[str, Any]:
    return {"id": id, "question": question, "answers": [{"text": text, "answer_start": start}]}


def with_good(*broken: dict[str, Any]) -> dict[str, Any]:
    """Broken articles behind ten good ones."""
    return {"data": [*squad(10, seed=8)["data"], *(one for content in broken for one in content["data"])]}


def test_a_missing_file(train: Any, call: Any, finished: RunFolder, tmp_path: Path) -> None:
    refused(train("--data", "none.json"), "none.json")
    refused(train("--eval-data", "none.json"), "none.json")
    refused(call("evaluate", finished.path, "--data", "none.json"), "none.json")
    refused(call("predict", finished.path, "--data", "none.json"), "none.json")
    refused(call("ask", finished.path, "--question", "when ?", "--context-file", "none.txt"), "none.txt")
    refused(call("doctor", "none.json", "--model", finished.path), "none.json")
    refused(call("score", "--data", "none.json", "--predictions", "none.json"), "none.json")
    refused(call("train", "--config", "none.yaml"), "none.yaml")


@pytest.mark.parametrize("content", [{"version": 1}, [1, 2], "text", {"q1": "answer"}, {"data": [{"paragraphs": 1}]}])
def test_a_json_that_is_not_squad(content: Any, train: Any, tmp_path: Path) -> None:
    refused(train("--data", write(tmp_path / "a.json", content)), "a.json", "expected")
    assert not list(tmp_path.glob("runs/*/adapter"))


def test_unanswerable_questions_in_a_run_without_them(
    train: Any, call: Any, finished: RunFolder, tmp_path: Path
) -> None:
    source = write(tmp_path / "v2.json", squad(10, impossible=True))
    refused(train("--data", source), "10 of 20 questions have no answer", "--squad-v2")
    refused(train("--eval-data", source), "10 of 20 questions have no answer")
    refused(call("evaluate", finished.path, "--data", source), "10 of 20 questions have no answer", "v2.json")


def starting_at(start: Any, folder: Path) -> str:
    """A file of 21 questions, the last of which says that its answer starts there; it starts at 4."""
    return write(folder / "a.json", with_good(article("the 1812 mill", asked("1812", start))))


@pytest.mark.parametrize(
    ("start", "report"),
    [("4", "'4' -> read as 4"), (5, "the text at 5 is"), (3, "the text at 3 is"), ("four", "found 'four'")],
)
def test_a_wrong_answer_start(start: Any, report: str, train: Any, tmp_path: Path) -> None:
    said = train("--data", starting_at(start, tmp_path))
    refused(said, "the data is broken: 1 defect in 1 of 21", "q1", report, "--repair")


def test_a_wrong_answer_start_that_is_mended(train: Any, tmp_path: Path) -> None:
    code, out, err = train("--data", starting_at(5, tmp_path), "--repair", "--output", "repaired")
    assert code == 0, err
    record = RunRecord.read(tmp_path / "repaired")
    assert record.data["train"].dropped["answer-offset mended"] == 1 and "answer-offset mended: 1 (repair)" in out
    assert record.data["train"].examples + record.data["selection"].examples == 21


def test_an_answer_start_that_is_absent_and_can_only_be_one_is_found(train: Any, tmp_path: Path) -> None:
    assert train("--data", starting_at(None, tmp_path))[0] == 0


def test_an_answer_beyond_repair_is_dropped_and_counted(train: Any, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", with_good(article("the 1812 mill", asked("1844", 4))))
    refused(train("--data", source), "is not in the context", "drops 1 of the examples")
    code, out, err = train("--data", source, "--repair", "--output", "repaired")
    assert code == 0 and "examples dropped: 1 (repair)" in out, err


def test_nan_in_csv(train: Any, tmp_path: Path) -> None:
    rows = [f"{n},when ?,the mill of {1800 + n} was old,{1800 + n},12" for n in range(20)]
    text = "\n".join(["id,question,context,answer,answer_start", *rows, "20,NaN,the 1812 mill,1812,4"])
    (tmp_path / "a.csv").write_text(text + "\n")
    refused(train("--data", "a.csv"), "a.csv", "missing-value", "20 (line 22) question")
    code, out, err = train("--data", "a.csv", "--repair")
    assert code == 0 and "examples dropped: 1 (repair)" in out, err


def test_the_doctor_of_a_file_without_a_usable_row(call: Any, finished: RunFolder, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", article("", asked("1812", 4)))
    code, out, err = call("doctor", source, "--model", finished.path, "--max-length", "48", "--doc-stride", "12")
    assert code == 0 and "empty-context" in out, err


def test_no_flag_is_named_that_the_command_lacks(train: Any, call: Any, finished: RunFolder, tmp_path: Path) -> None:
    questions = asked("1812", 4), {**asked("mill", 9), "question": "what?"}
    source = write(tmp_path / "a.json", with_good(article("the 1812 mill", *questions)))
    assert "--repair" in refused(train("--data", source), "duplicate-id", "--repair")
    for command in ("predict", "evaluate"):
        told = refused(call(command, finished.path, "--data", source), "duplicate-id", "mend the file")
        assert "--repair" not in told


def test_a_seed_out_of_range(train: Any) -> None:
    for seed in (-1, 2**32, 10**22):
        refused(train("--seed", str(seed)), "seed", "0 to 4294967295", str(seed))


@pytest.mark.parametrize("context", ["", " \n\t"])
def test_an_empty_context(context: str, train: Any, call: Any, finished: RunFolder, tmp_path: Path) -> None:
    source = write(tmp_path / "a.json", with_good(article(context, asked("1812", 0))))
    refused(train("--data", source), "empty-context", "q1")
    refused(call("predict", finished.path, "--data", source), "empty-context", "q1")
    refused(call("ask", finished.path, "--question", "when ?", "--context", context), "the context is empty")
    refused(call("ask", finished.path, "--question", " ", "--context", "in 1812"), "question")


def test_a_context_of_100_000_characters(train: Any, call: Any, finished: RunFolder, tmp_path: Path) -> None:
    words = ["the old mill was near a river"] * 3400
    words[2900] = "it was built in 1812 by ada"
    context = " ".join(words)
    assert len(context) > 100_000
    source = write(tmp_path / "a.json", with_good(article(context, asked("1812", context.index("1812")))))
    assert train("--data", source)[0] == 0
    (tmp_path / "context.txt").write_text(context)
    code, out, err = call("ask", finished.path, "--question", "when ?", "--context-file", "context.txt", "--json")
    assert code == 0, err
    (answer,) = json.loads(out).values()
    assert answer["answer"] == "1812" and answer["start"] == context.index("1812")


def test_a_question_longer_than_the_window_is_cut_and_counted(
    train: Any, call: Any, finished: RunFolder, tmp_path: Path
) -> None:
    source = write(tmp_path / "a.json", with_good(article("the 1812 mill", asked("1812", 4, question="when " * 99))))
    code, out, err = train("--data", source)
    assert code == 0 and "1 questions of the" in out and "were cut to" in out, err
    code, out, err = call("predict", finished.path, "--data", source)
    assert code == 0 and json.loads((tmp_path / "predictions.json").read_text())["q1"], err


CONTEXTS = {
    "emoji": "🏰🏰 the mill 👩‍👩‍👧 was built in 1812 🎉",
    "combining marks": "cafe\u0301 de\u0301ja\u0300 vu in 1812 nai\u0308ve",
    "right to left": "הטחנה נבנתה בשנת 1812 ליד הנהר",
    "right to left with marks": "\u200fهُنَا بُنِيَتْ ١٨١٢ أي 1812\u200f",
    "CRLF": "the mill\r\nwas built\r\nin 1812\r\nby ada",
}


def test_any_text_is_answered_by_its_own_characters(train: Any, call: Any, finished: RunFolder, tmp_path: Path) -> None:
    pages = [article(text, asked("1812", text.index("1812"), id)) for id, text in CONTEXTS.items()]
    source = write(tmp_path / "a.json", with_good(*pages))
    code, _, err = train("--data", source, "--eval-data", source)
    assert code == 0, err
    code, _, err = call("predict", finished.path, "--data", source, "--n-best-output", "n_best.json")
    assert code == 0, err
    answers, n_best = (json.loads((tmp_path / name).read_text()) for name in ("predictions.json", "n_best.json"))
    for id, text in CONTEXTS.items():
        assert answers[id] and answers[id] in text
        assert all(one["text"] == text[one["start"] : one["end"]] for one in n_best[id])
    code, out, err = call("evaluate", finished.path, "--data", source)
    assert code == 0 and "25" in out, err


def test_a_context_file_with_crlf_keeps_it(call: Any, finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"the mill\r\nwas built\r\nin 1812")
    words = ("ask", finished.path, "--question", "when ?", "--context-file", "a.txt", "--json")
    code, out, err = call(*words)
    assert code == 0, err
    (answer,) = json.loads(out).values()
    assert answer["start"] == "the mill\r\nwas built\r\nin 1812".index("1812")


def test_a_slow_tokenizer(train: Any, bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    class Slow:
        is_fast = False

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **__: Slow())
    refused(train(), "slow", "character offsets", "a fast tokenizer", bert)


def test_a_method_that_the_encoder_cannot_take(train: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, MPNetConfig, MPNetModel

    encoder = make_encoder(tmp_path / "bert")
    torch.manual_seed(0)
    MPNetModel(
        MPNetConfig(vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    ).save_pretrained(tmp_path / "mpnet")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path / "mpnet")
    words = ("--model", str(tmp_path / "mpnet"), "--method", "prefix-tuning")
    refused(train(*words), "prefix tuning cannot reach every layer of this encoder (mpnet)", "choose another method")
    record = RunRecord.read(tmp_path / "runs" / "prefix-tuning-0")
    assert record.status == "failed" and "mpnet" in record.reason


def test_windows_that_the_method_leaves_no_room_for(call: Any, bert: str, train_file: str) -> None:
    words = "train --method prompt-encoder --prompt-encoder.length 60 --max-length 48 --doc-stride 8 --no-mlflow"
    refused(
        call(*words.split(), "--data", train_file, "--model", bert), "windows of 48 tokens do not fit", "at most 36"
    )


def test_an_adapter_for_another_encoder(train: Any, call: Any, dev_file: str, tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path / "encoder")
    assert train("--model", encoder, "--output", "run")[0] == 0
    shutil.rmtree(encoder)
    make_encoder(tmp_path / "encoder", seed=5)
    for words in (("ask", "run", "--question", "a", "--context", "b"), ("evaluate", "run", "--data", dev_file)):
        refused(call(*words), "trained on another encoder", encoder, "bring the encoder")


def test_an_output_folder_that_exists(train: Any, call: Any, finished: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    again = ("train", "--config", finished.config, "--output", "run")
    before = (tmp_path / "run" / "record.json").read_bytes()
    refused(call(*again), "output folder already holds a run", "--resume", "--overwrite", "finished")
    refused(call(*again, "--resume", "--batch-size", "3"), "another configuration", "batch-size")
    assert (tmp_path / "run" / "record.json").read_bytes() == before
    assert call(*again, "--resume")[0] == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    for flag in ("--resume", "--overwrite"):
        refused(train("--output", "mine", flag), "holds no run", "thesis.tex")
    refused(call("compare", "--output", "mine", "--methods", "lora"), "holds no study", "thesis.tex")
    refused(call("serve", "zoo", "--data-dir", "mine/thesis.tex"), "data-dir", "a folder", "thesis.tex")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"


def test_an_output_that_cannot_be_written(
    train: Any, call: Any, finished: RunFolder, dev_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file")
    refused(train("--output", "file/run"), "the output cannot be written", "file", "Not a directory")
    refused(train("--output", "file"), "the output cannot be written", "file")
    refused(call("compare", "--output", "file/study", "--methods", "lora"), "the output cannot be written")
    (tmp_path / "folder").mkdir()
    socket.socket(socket.AF_UNIX).bind("socket")
    refused(train("--output", "socket"), "the output cannot be written", "socket", "expected")
    refused(call("compare", "--output", "socket", "--methods", "lora"), "the output cannot be written", "socket")
    with monkeypatch.context() as patch:
        patch.setattr("spantune.answering.predictor.Predictor.answer", lambda *_, **__: pytest.fail("it answers first"))
        for flag in ("--output", "--n-best-output", "--null-odds-output"):
            asked = ("predict", finished.path, "--data", dev_file, flag)
            refused(call(*asked, "file/p.json"), "the output cannot be written", "file")
            refused(call(*asked, "folder"), "the output cannot be written", "folder", "Is a directory")
            refused(call(*asked, "socket"), "the output cannot be written", "socket", "expected", "no socket")
    code, _, err = call("predict", finished.path, "--data", dev_file, "--output", "made/too/p.json")
    assert code == 0 and [path.name for path in (tmp_path / "made" / "too").iterdir()] == ["p.json"], err

    def read_only(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "somewhere")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", read_only)
    refused(train("--output", "run"), "the output cannot be written", "Read-only file system", "--output")
    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    refused(call("evaluate", finished.path, "--data", dev_file), "cannot be written", "Read-only file system")


@pytest.mark.parametrize("moment", ["checkpoint", pytest.param("model", marks=pytest.mark.exhaustive), "answers"])
def test_a_disk_that_fills_up(
    moment: str, train: Any, dev_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spantune.training import run, trainer

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = ("--output", "run", "--eval-data", dev_file, "--checkpoint-seconds", "0", "--epochs", "0.3")
    with monkeypatch.context() as patched:
        if moment == "checkpoint":
            patched.setattr(trainer, "save_file", full)
        elif moment == "model":
            patched.setattr(run, "save", full)
        else:
            patched.setattr("spantune.scoring.score_run.write_predictions", full)
        code, _, err = train(*words)
    assert code in (1, 2) and "o space left" in err and "Traceback" not in err
    record = RunRecord.read(tmp_path / "run")
    assert record.status == "failed" and "o space left" in record.reason
    code, out, err = train(*words, "--resume")
    assert code == 0 and "F1" in out, err
    assert RunRecord.read(tmp_path / "run").status == "finished"


def test_a_device_that_is_not_there(call: Any, bert: str, train_file: str, finished: RunFolder) -> None:
    words = ("--device", "mps")
    refused(call("ask", finished.path, "--question", "a", "--context", "b", *words), "no mps device", "--device auto")


def test_an_unforeseen_failure_is_one_line_and_not_the_users(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("spantune.training.run.make_windows", broken)
    code, _, err = train("--output", "run")
    assert code == 1
    assert err.strip() == (
        "spantune failed: ZeroDivisionError: division by zero; set SPANTUNE_DEBUG=1 (or --debug) for the traceback"
    )
    assert RunRecord.read(tmp_path / "run").reason == "ZeroDivisionError: division by zero"


def test_an_encoder_of_a_hub_that_does_not_answer(
    train: Any, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for module in ("huggingface_hub.constants", "datasets.config"):
        monkeypatch.setattr(f"{module}.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # refuses every connection
    began = time.process_time(), time.monotonic()
    err = refused(train("--model", "nobody/nothing"), "'nobody/nothing' cannot be loaded", "bundled encoder: minilm")
    assert len(err.strip().splitlines()) == 4, "and no word of retries"
    assert time.process_time() - began[0] < 2 and time.monotonic() - began[1] < 9
    refused(train("--data", "nobody/nothing"), "nobody/nothing", "--data sample")
    refused(call("methods", "--encoder", "nobody/nothing"), "bundled encoder: minilm")
