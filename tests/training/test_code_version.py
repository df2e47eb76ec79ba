"""The digest of the code that makes a run's numbers: what changes it, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import spantune
from spantune.training import code_version as module
from spantune.training.code_version import code_version, is_other_code


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's sources, of which the digest is taken."""
    folder = tmp_path / "spantune"
    shutil.copytree(Path(spantune.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    monkeypatch.setattr(module, "_ROOT", folder)
    forget()
    yield folder
    forget()


NO_NUMBERS = ("tracking/mirrors.py", "runs/history.py", "web/app.py", "studies/report.py")


def forget() -> None:
    module.code_version.cache_clear()
    module._read.cache_clear()


def digests() -> tuple[str | None, ...]:
    forget()
    return tuple(map(code_version, ("lora", "dora", "ia3")))


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_what_changes_it(sources: Path) -> None:
    lora, dora, ia3 = before = digests()
    assert (
        None not in before
        and len(set(before)) == 3
        and all((one or "").startswith("2:") and len(one or "") == 18 for one in before)
    )
    edit(sources / "methods" / "lora.py", "lora_alpha=options.alpha", "lora_alpha=2 * options.alpha")
    middle = digests()
    assert middle[0] != lora and middle[2] == ia3
    assert middle[1] != dora, "it is made by LoRA's code"
    edit(sources / "modeling" / "loss.py", "import torch\n", "import torch\n\nA = 1\n")
    after = digests()
    assert not set(after) & set(middle)
    (sources / "scoring" / "official_metrics.py").write_text("A = 1\n")
    scored = digests()
    assert not set(scored) & set(after)
    edit(sources / "scoring" / "answerability.py", "import numpy as np\n", "import numpy as np\n\nA = 1\n")
    assert not set(digests()) & set(scored), "a run's null threshold comes from there"


def test_what_does_not(sources: Path) -> None:
    before = digests()
    (sources / "methods" / "another.py").write_text('"""A new method."""\nA = 1\n')
    (sources / "reports" / "tables" / "main_table.py").write_text("A = 1\n")
    for path in NO_NUMBERS:
        (sources / path).write_text("A = 1\n")
    edit(sources / "modeling" / "loss.py", '"""', '"""Said otherwise. ')
    edit(sources / "training" / "run.py", "def train(", "# a comment\n\n\ndef train(")
    assert digests() == before


def test_sources_that_were_not_shipped(sources: Path) -> None:
    (sources / "methods" / "lora.py").unlink()
    forget()
    assert code_version("lora") is None


def test_digests_of_an_earlier_rule_say_nothing() -> None:
    """Runs of version 0.1.0 are not trained again because its digests were made otherwise."""
    now = code_version("lora")
    assert not is_other_code("0123456789abcdef", now) and not is_other_code(None, now) and not is_other_code(now, None)
    assert is_other_code("2:0123456789abcdef", now) and not is_other_code(now, now)
