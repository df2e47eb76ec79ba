"""Each subcommand against stand-ins of its stage: what is handed over, what is printed, what is written."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import spantune.scoring.score_run
from spantune.cli.main import main
from spantune.config import CompareConfig, TrainConfig
from spantune.config.commands import AskConfig
from spantune.data import Corpus
from spantune.data.prediction import Candidate, Prediction
from spantune.runs import DataRecord, ParameterCount, RunRecord, Timings

if TYPE_CHECKING:
    from spantune.answering.engine import Sink

CONTEXT = "Ada built the mill in 1832."


class FakePredictor:
    """Answers "Ada" to every question."""

    loaded: ClassVar[list[tuple[str, Any]]] = []
    asked_for: ClassVar[list[int]] = []

    @classmethod
    def load(cls, run: str, config: Any) -> FakePredictor:
        cls.loaded.append((run, config))
        return cls()

    def ask(self, question: str, context: str, *, n_best: int) -> Prediction:
        candidates = (Candidate("Ada", 0, 3, 5.0, 0.75), Candidate("1832", 22, 26, 3.0, 0.125))
        return Prediction("ask", "Ada", 0, 3, 5.0, 0.75, 1.0, 0.0, candidates[:n_best])

    def answer(self, corpus: Corpus, *, n_best: int, sink: Sink | None) -> SimpleNamespace:
        self.asked_for.append(n_best)
        for one in corpus.examples if sink else ():
            sink(Prediction(one.id, "Ada", 0, 3, 5.0, 0.75, 1.0, 0.0, (Candidate("Ada", 0, 3, 5.0, 0.75),)))
        ids = [one.id for one in corpus.examples]
        return SimpleNamespace(texts=dict.fromkeys(ids, "Ada"), null_odds=dict.fromkeys(ids, -4.0))


class FakePanel:
    """Several of them, asked together."""

    def __init__(self, predictors: dict[str, FakePredictor]) -> None:
        self.predictors = predictors

    @classmethod
    def load(cls, runs: Sequence[str], config: Any) -> FakePanel:
        return cls({run: FakePredictor.load(run, config) for run in runs})

    def ask(self, question: str, context: str, *, n_best: int) -> dict[str, Prediction]:
        return {run: one.ask(question, context, n_best=n_best) for run, one in self.predictors.items()}


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand-ins for the stages that need torch; what they were called with, by name."""
    called: dict[str, Any] = {}
    record = RunRecord(
        status="finished",
        method="lora",
        label="LoRA",
        model="minilm",
        seed=0,
        config={"output": "runs/lora-0"},
        data={"reported": DataRecord(("sample",), "f" * 64, 150)},
        parameters=ParameterCount(664_322, 23_230_468),
        adapter_bytes=2_621_440,
        timings=Timings(train_seconds=61.4, examples_per_second=17.62),
        metrics={"reported": {"em": 38.7, "f1": 52.04}},
        notes=("12 windows do not train",),
    )

    class Study:
        folder = Path("studies/compare")

        def failures(self) -> str | None:
            return called.get("failures")

    def stage(name: str, **functions: Any) -> None:
        module = ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)

    def evaluate_run(run: str, config: Any) -> dict[str, Any]:
        called.setdefault("evaluate", []).append((run, config))
        return {"em": 38.7, "f1": 52.04, "total": 150}

    monkeypatch.setattr(FakePredictor, "loaded", called.setdefault("loaded", []))
    stage("spantune.training", train=lambda config: called.update(train=config) or record)
    stage(
        "spantune.studies",
        compare_and_report=lambda config: called.update(compare=config) or (Study(), "its report"),
        summary=lambda study, report: "the table",
    )
    report = SimpleNamespace(finding="LoRA is better.", table=SimpleNamespace(to_text=lambda: "its table\n"))
    report.written = (Path("studies/compare/report.html"),)
    stage("spantune.studies.report", report=lambda folder: called.update(report=folder) or report)
    stage("spantune.answering", Panel=FakePanel, Predictor=FakePredictor)
    monkeypatch.setattr(spantune.scoring.score_run, "evaluate_run", evaluate_run)
    return called


def test_train(stages: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--lora.rank", "8", "--seed", "3"]) == 0
    assert isinstance(stages["train"], TrainConfig)
    assert (stages["train"].seed, stages["train"].options["rank"]) == (3, 8)
    assert capsys.readouterr().out.splitlines() == [
        "LoRA on minilm: EM 38.70, F1 52.04 (reported set, 150 questions)",
        "trainable parameters: 664,322 (2.86%)",
        "saved weights: 2.50 MiB",
        "training: 61 s, 17.6 examples/s",
        "12 windows do not train",
        "run folder: runs/lora-0",
    ]


def test_compare(stages: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--methods", "lora", "full", "--seeds", "0", "1", "--lora.rank", "8"]) == 0
    config = stages["compare"]
    assert isinstance(config, CompareConfig) and (config.methods, config.seeds) == (("lora", "full"), (0, 1))
    assert config.options["lora"]["rank"] == 8 and config.options["full"] == {}
    said = "the table\n"
    assert capsys.readouterr().out == said
    stages["failures"] = "1 of the study's runs failed"
    assert main(["compare"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (said, "1 of the study's runs failed\n")


def test_report(stages: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "studies/three"]) == 0
    assert stages["report"] == "studies/three"
    assert capsys.readouterr().out.startswith("LoRA is better.\n\nits table\n\nreport: ")
    assert main(["report"]) == 2


def test_evaluate(stages: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "runs/a", "runs/b", "--data", "dev.json", "--max-eval-examples", "150"]
    assert main(words) == 0
    assert [run for run, _ in stages["evaluate"]] == ["runs/a", "runs/b"]
    config = stages["evaluate"][0][1]
    assert (config.data, config.max_eval_examples) == (("dev.json",), 150)
    assert capsys.readouterr().out.splitlines() == [
        "run        EM     F1  questions",
        "runs/a  38.70  52.04        150",
        "runs/b  38.70  52.04        150",
    ]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs/b"] == {"em": 38.7, "f1": 52.04, "total": 150}


def test_ask(stages: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ask", "runs/a", "runs/b", "--question", "Who?", "--context", CONTEXT]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == ["runs/a: Ada  75.0%", "runs/b: Ada  75.0%"]
    assert isinstance(stages["loaded"][0][1], AskConfig)
    assert main([*words, "--n-best", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == ["runs/a: Ada  75.0%", "   1.  75.0%  Ada", "   2.  12.5%  1832"]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["runs/a"]
    assert (answer["answer"], answer["start"], answer["probability"], len(answer["n_best"])) == ("Ada", 0, 0.75, 1)


def test_ask_reads_a_context_from_a_file_or_standard_input(
    stages: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []
    answer = FakePredictor.ask
    monkeypatch.setattr(
        FakePredictor, "ask", lambda self, q, c, n_best: heard.append(c) or answer(self, q, c, n_best=n_best)
    )
    words = ["ask", "runs/a", "--question", "Who?", "--context-file"]
    (tmp_path / "c.txt").write_bytes("\ufeffÄda\r\nbuilt".encode())
    assert main([*words, str(tmp_path / "c.txt")]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Äda".encode()), encoding="cp1252"))
    assert main([*words, "-"]) == 0
    assert heard == ["Äda\r\nbuilt", "Äda"]  # exact characters: answers are positions in them


@pytest.mark.parametrize(
    ("content", "part"),
    [(None, "cannot be read"), (b"", "the context is empty"), (b" \n", "the context is empty"), (b"\xff", "not UTF-8")],
)
def test_ask_refuses_a_broken_context(
    content: bytes | None, part: str, stages: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.txt"
    if content is not None:
        path.write_bytes(content)
    assert main(["ask", "r", "--question", "Who?", "--context-file", str(path)]) == 2
    shown = capsys.readouterr().err
    assert part in shown and "c.txt" in shown


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    answers = [{"text": "Ada", "answer_start": 0}]
    questions = [{"id": id, "question": f"Who? {id}", "answers": answers} for id in ("q1", "q2")]
    path = tmp_path / "dev.json"
    paragraph = {"context": CONTEXT, "qas": questions}
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "Mill", "paragraphs": [paragraph]}]}))
    return path


def test_predict_and_score(
    stages: dict[str, Any], squad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: str(tmp_path / f"{name}.json") for name in ("answers", "n_best", "odds")}
    words = ["predict", "runs/a", "--data", str(squad), "--output", files["answers"]]
    assert (
        main([*words, "--n-best-output", files["n_best"], "--null-odds-output", files["odds"], "--n-best", "33"]) == 0
    )
    assert FakePredictor.asked_for[-1] == 33
    read = {name: json.loads(Path(path).read_text()) for name, path in files.items()}
    assert read["answers"] == {"q1": "Ada", "q2": "Ada"} and read["odds"] == {"q1": -4.0, "q2": -4.0}
    assert read["n_best"]["q1"] == [{"text": "Ada", "start": 0, "end": 3, "score": 5.0, "probability": 0.75}]
    assert "2 answers" in capsys.readouterr().out
    assert main(["score", "--data", str(squad), "--predictions", files["answers"]]) == 0
    assert "exact_match  100.00" in capsys.readouterr().out
    assert main(["score", "--data", str(squad), "--predictions", files["answers"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["f1"] == 100.0


@pytest.mark.skipif(os.name == "nt", reason="no such files")
def test_predict_to_streams(
    stages: dict[str, Any], squad: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "runs/a", "--data", str(squad)]
    assert main([*words, "--output", "/dev/stdout"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == {"q1": "Ada", "q2": "Ada"} and "2 answers" in err, "nothing else is printed there"
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()), daemon=True)
    reader.start()
    assert main([*words, "--output", str(tmp_path / "file"), "--n-best-output", str(fifo)]) == 0
    reader.join(20)
    assert json.loads(got[0]).keys() == {"q1", "q2"} and fifo.is_fifo()
    assert "2 answers" in capfd.readouterr().out


def test_score_without_its_file(squad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--data", str(squad), "--predictions", "none.json"]) == 2
    assert "none.json" in capsys.readouterr().err
    assert main(["score"]) == 2
    assert "predictions: expected a file of predictions" in capsys.readouterr().err


def test_methods(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from spantune.errors import MethodError
    from spantune.methods import methods as registry

    counted = SimpleNamespace(parameters=ParameterCount(1_000, 20_000), saved_bytes=4_200, forward=1.0592)
    refused = MethodError("this encoder takes no prefix", found="something", fix="another")
    asked = []

    def costs_of_all(encoder: str) -> dict[str, Any]:
        asked.append(encoder)
        return {name: refused if name == "prefix-tuning" else counted for name in registry()}

    modeling = ModuleType("spantune.modeling")
    modeling.costs_of_all = costs_of_all  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spantune.modeling", modeling)
    assert main(["methods", "--json", "--encoder", "other"]) == 0
    content = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in content["methods"]}
    assert content["encoder"] == "other" and list(rows) == list(registry())
    assert {
        "supported": True, "reason": None, "trainable": 1_000, "total": 20_000, "share": 0.05,
        "saved_bytes": 4_200, "forward": 1.0592, "mergeable": True,
    }.items() <= rows["lora"].items()  # fmt: skip
    assert rows["head-only"]["mergeable"] is False and rows["lora"]["paper"] == registry()["lora"].paper
    assert {
        "supported": False, "reason": "this encoder takes no prefix", "trainable": None, "total": None, "share": None,
        "saved_bytes": None, "forward": None,
    }.items() <= rows["prefix-tuning"].items()  # fmt: skip

    assert main(["methods"]) == 0
    first, head, *lines = capsys.readouterr().out.splitlines()
    assert asked == ["other", "minilm"] and "minilm" in first and "forward" in head
    table = {line.split()[0]: " ".join(line.split()[2:]) for line in lines[: len(registry())]}
    assert table["lora"] == f"yes 1,000 5.0% 4.2 kB 1.06× yes, then 1× {registry()['lora'].learning_rate:g}"
    assert table["head-only"] == f"yes 1,000 5.0% 4.2 kB 1.06× no {registry()['head-only'].learning_rate:g}"
    assert table["prefix-tuning"] == f"refused – – – – – {registry()['prefix-tuning'].learning_rate:g}"
    assert lines[len(registry()) :] == ["", "refused:", "  prefix-tuning: this encoder takes no prefix"]


def test_doctor(squad: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from spantune.cli import doctor

    unreachable = [("unreachable-answer", "q2", "too long")]
    monkeypatch.setattr(doctor, "_answer_check", lambda config: lambda examples: unreachable)
    assert main(["doctor", str(squad), "--eval-data", str(squad)]) == 0
    assert "questions" in capsys.readouterr().out
    assert main(["doctor", str(squad), str(squad), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert len(reports) == 2 and reports[0]["defect_counts"]["unreachable-answer"] == 1
