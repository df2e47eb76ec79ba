"""Names of the adapters that ship with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from spantune import zoo
from spantune.errors import RunError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("lora", "ia3"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        (tmp_path / "zoo" / name / "record.json").write_text("{}")
    (tmp_path / "zoo" / "__pycache__").mkdir()
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    monkeypatch.chdir(tmp_path / "zoo")
    return tmp_path / "zoo"


def test_names_lead_to_folders(shelf: Path) -> None:
    assert zoo.names() == ("zoo/ia3", "zoo/lora")
    assert zoo.find("zoo/lora") == shelf / "lora"


def test_other_names_are_left_alone(shelf: Path) -> None:
    assert zoo.find("runs/lora-0") == Path("runs/lora-0")
    assert zoo.find(Path("/somewhere/zoo/lora")) == Path("/somewhere/zoo/lora")


def test_a_folder_of_ones_own_comes_first(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shelf.parent)
    assert zoo.find("zoo/lora") == Path("zoo/lora")


def test_zoo_alone_is_all_of_it(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert zoo.each(("zoo", "runs/x", "zoo/lora")) == ("zoo/ia3", "zoo/lora", "runs/x", "zoo/lora")
    assert zoo.each(("zoo/",)) == ("zoo/ia3", "zoo/lora")
    checkout = tmp_path / "checkout" / "zoo"
    checkout.mkdir(parents=True)
    (checkout / "build.py").touch()
    monkeypatch.chdir(checkout.parent)
    assert zoo.each(("zoo",)) == ("zoo/ia3", "zoo/lora"), "a folder without runs is not meant"
    (checkout / "mine").mkdir()
    (checkout / "mine" / "record.json").touch()
    assert zoo.each(("zoo",)) == ("zoo",), "a folder of one's own is"


def test_a_name_that_is_not_there(shelf: Path) -> None:
    with pytest.raises(RunError, match="no adapter 'zoo/loar'") as raised:
        zoo.find("zoo/loar")
    assert raised.value.fix == "did you mean 'zoo/lora'?"
    with pytest.raises(RunError) as raised:
        zoo.find("zoo/../../etc")
    assert raised.value.expected == "zoo/ia3, zoo/lora"


def test_an_empty_zoo_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    with pytest.raises(RunError) as raised:
        zoo.find("zoo/lora")
    assert "without adapters" in (raised.value.expected or "")
