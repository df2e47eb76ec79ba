"""What a run learned from is neither written over nor, trained again, taken for the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets.config
import pytest
from tiny import trained_to_be

from spantune.errors import ConfigError, RunError
from spantune.runs import RunFolder
from spantune.studies.run_state import facts_as_they_are, plan_of
from spantune.training import train
from spantune.training.lineage import Origins, refuse_own_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    yield tmp_path / "cache" / "spantune"


def named(key: str, run: Path) -> dict[str, Any]:
    """The run as a teacher or as the model to begin with."""
    return {key: (str(run),) if key == "teachers" else str(run)}


@pytest.mark.parametrize("key", ["teachers", "model"])
@pytest.mark.usefixtures("no_plots")
def test_what_was_trained_again_is_another(key: str, finished: RunFolder, config: Any, tmp_path: Path) -> None:
    """Half a run does not go on behind it, and a finished one is not done."""
    origin = Path(shutil.copytree(finished.path, tmp_path / "origin"))
    asked = {**named(key, origin), "epochs": 1}
    record = train(config(**asked))
    now = Origins.of(config(**asked))
    assert (record.teachers, record.began_with) == (now.teachers, now.began_with)
    assert len(record.teachers) == (key == "teachers") and (record.began_with is not None) == (key == "model")
    facts = facts_as_they_are()
    assert plan_of(config(**asked), facts)[0] == "done"
    (file,) = (origin / "adapter").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    trained_to_be(origin)
    assert plan_of(config(**asked), facts) == ("run", f"changed: trained again since: {origin}")
    replace(record, status="interrupted").write(tmp_path / "run")
    with pytest.raises(RunError, match="what the run learns from has changed") as raised:
        train(config(resume=True, **asked))
    assert raised.value.where == str(origin)
    older = replace(record, status="interrupted", teachers={}, began_with=None)
    assert Origins.of(config(**asked)).changed_since(older) == [], "a record from before these were kept"


@pytest.mark.parametrize("key", ["teachers", "model"])
def test_what_is_learned_from_is_not_written_over(key: str, finished: RunFolder, config: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.path, tmp_path / "run"))
    before = sorted(path for path in folder.rglob("*"))
    for place in (folder, folder / "adapter"):
        with pytest.raises(ConfigError, match="cannot be written over what it learns from"):
            train(config(overwrite=True, **named(key, place)))
    with pytest.raises(RunError, match="there is no trained model here"):
        train(config(overwrite=True, teachers=("runs/ful-0",)))
    assert sorted(path for path in folder.rglob("*")) == before


def test_a_name_that_is_no_path_stands_in_no_folder(config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """`--output .` in an empty folder holds neither `minilm` nor `zoo/lora`."""
    monkeypatch.chdir(tmp_path)
    refuse_own_folder(replace(config(), output=".", model="minilm", teachers=("zoo/lora",)))
