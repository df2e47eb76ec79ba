"""`--help` answers within a second, because nothing heavy is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import spantune

PROBE = """
import json, sys
from spantune.cli.main import COMMANDS, main
codes = [main(["--help"]), *(main([name, "--help"]) for name in COMMANDS), main(["train", "--print-config"])]
heavy = ("torch", "transformers", "peft", "datasets", "mlflow", "pandas", "pyarrow", "matplotlib", "numpy")
print(json.dumps({"codes": codes, "heavy": [name for name in heavy if name in sys.modules]}))
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(spantune.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, *words], capture_output=True, encoding="utf-8", env=environment, check=True)


def test_help_imports_nothing_heavy() -> None:
    found = json.loads(python("-c", PROBE).stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert set(found["codes"]) == {0}


# `train --help` costs about four of these, on a machine of any speed; a second, where this takes a sixth of one.
YARDSTICK = ("-c", "import asyncio, http.server, sqlite3, unittest.mock, xml.dom.minidom")


def processor_seconds(*words: str) -> float:
    """Of the processor, not of the clock: the machine may be busy with something else."""
    before = os.times()
    python(*words)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_help_answers_within_a_second(words: list[str]) -> None:
    """Where a few modules of Python's own take a sixth of one: the limit follows the machine, fast or slow."""
    ratios = (processor_seconds("-m", "spantune", *words) / processor_seconds(*YARDSTICK) for _ in range(5))
    assert any(ratio < 6 for ratio in ratios)
