"""The notebooks: what they kept was really printed, what they import is there, and they run on a small study."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tiny import SETTINGS, squad, write

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# Folders of a machine, an address of a memory, and what a library says to a developer.
PRIVATE = re.compile(r"/(?:home|root|tmp|work|usr|opt|Users)/|[A-Z]:\\|object at 0x|site-packages|Warning:")


def cells(path: Path) -> list[dict[str, Any]]:
    return [one for one in json.loads(path.read_text(encoding="utf-8"))["cells"] if one["cell_type"] == "code"]


def outputs(cell: dict[str, Any]) -> str:
    return json.dumps(cell["outputs"], ensure_ascii=False)


def test_there_are_two() -> None:
    assert [one.name for one in NOTEBOOKS] == ["evaluation_examples.ipynb", "model_comparison.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_were_kept_from_one_run(path: Path) -> None:
    code = cells(path)
    assert [one["execution_count"] for one in code] == list(range(1, len(code) + 1))
    for one in code:
        kinds = {output["output_type"] for output in one["outputs"]}
        streams = {output["name"] for output in one["outputs"] if output["output_type"] == "stream"}
        assert "error" not in kinds and streams <= {"stdout"}
        shown = ast.parse("".join(one["source"])).body[-1]
        assert one["outputs"] or not isinstance(shown, ast.Expr | ast.For), "".join(one["source"])
        assert not PRIVATE.search(outputs(one)), PRIVATE.search(outputs(one))
    pictures = sum('"image/png"' in outputs(one) for one in code)
    assert pictures >= 2 and path.stat().st_size < 1_500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_they_import_is_there_and_public(path: Path) -> None:
    imported = 0
    for one in cells(path):
        for node in ast.walk(ast.parse("".join(one["source"]))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("spantune"):
                room = importlib.import_module(node.module)
                assert node.module.count(".") == 1, f"{node.module}: a deep import"
                assert {alias.name for alias in node.names} <= set(room.__all__), node.module
                imported += 1
    assert imported >= 2


@pytest.mark.slow
@pytest.mark.parametrize("squad_v2", [False, True], ids=["answers all", "may answer nothing"])
def test_they_run(squad_v2: bool, bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both, one after the other, on a study of a tiny encoder; the second asks what the first has trained."""
    import nbclient
    import nbformat

    data = write(tmp_path / "train.json", squad(40, impossible=squad_v2))
    settings = {key: value for key, value in SETTINGS.items() if key not in ("method", "learning_rate")}
    settings |= {
        "model": bert,
        "data": [data],
        "eval_data": [data],
        "epochs": 2,
        "sweep_examples": 20,
        "semantic": False,
    }
    settings |= {
        "methods": ["full", "lora"],
        "seeds": [0, 1],
        "sweep_extend": 0,
        "squad_v2": squad_v2,
        "output": "study",
    }
    settings |= {"grid": ["learning-rate=1e-3,1e-2"], "max_train_examples": None, "cost_seconds": 0.1}
    ran = {}
    for name, given in (
        ("model_comparison", settings),
        ("evaluation_examples", {"runs": ["study/*-0"], "data": data}),
    ):
        monkeypatch.setenv("SPANTUNE_NOTEBOOK", json.dumps(given))
        book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        nbclient.NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
        ran[name] = [one for one in book.cells if one.cell_type == "code"]
        for one in ran[name]:
            shown = ast.parse(one.source).body[-1]
            assert one.outputs or not isinstance(shown, ast.Expr | ast.For), one.source
            assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in one.outputs)
    said = {name: json.dumps([one.outputs for one in code]) for name, code in ran.items()}
    assert (tmp_path / "study" / "report.html").is_file() and "report.html" in said["model_comparison"]
    assert "full, seed 1: run (new)" in said["model_comparison"] and "Train it:" in said["model_comparison"]
    assert ("null auc" in said["evaluation_examples"]) is squad_v2
