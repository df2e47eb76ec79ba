"""`save_to_disk` folders, and the hub as far as it can be tried without one."""

from pathlib import Path
from typing import Any

import datasets
import pytest

from spantune.config import DataConfig
from spantune.data import Answer, load_corpus, load_splits
from spantune.errors import DataError


def made(*words: str, **more: Any) -> datasets.Dataset:
    rows = [
        {"id": word, "question": "q", "context": f"a {word}", "answers": {"text": [word], "answer_start": [2]}, **more}
        for word in words
    ]
    return datasets.Dataset.from_list(rows)


@pytest.fixture
def both(tmp_path: Path) -> str:
    datasets.DatasetDict({"train": made("b", "c", "d"), "dev": made("x", "y")}).save_to_disk(str(tmp_path / "both"))
    return str(tmp_path / "both")


def test_a_folder_with_splits(both: str) -> None:
    assert [one.id for one in load_corpus(both).examples] == ["b", "c", "d"]
    assert [one.id for one in load_corpus(both, split="validation").examples] == ["x", "y"]
    assert [one.id for one in load_corpus(f"{both}#dev").examples] == ["x", "y"]
    assert load_corpus(both).examples[0].answers == (Answer("b", 2),)
    splits = load_splits(DataConfig(data=(both,)), 0)
    assert splits.reported is not None and [one.id for one in splits.reported.examples] == ["x", "y"]


def test_a_folder_without_a_row(tmp_path: Path) -> None:
    made("b").select([]).save_to_disk(str(tmp_path / "none"))
    with pytest.raises(DataError, match="the data holds no questions"):
        load_corpus(str(tmp_path / "none"))


def test_a_folder_without_the_split(both: str) -> None:
    with pytest.raises(DataError, match="no split 'trian'") as raised:
        load_corpus(f"{both}#trian")
    assert "the splits train, dev" in str(raised.value) and f"{both}#train" in str(raised.value)


def test_a_folder_with_one_dataset_selected_and_other_columns(tmp_path: Path) -> None:
    kept = made("b", "c", "d", picture=b"1").rename_column("question", "frage").select([2, 0])
    kept.save_to_disk(str(tmp_path / "one"))
    source = str(tmp_path / "one")
    assert [one.id for one in load_corpus(source, columns=("question=frage",)).examples] == ["d", "b"]
    assert load_splits(DataConfig(data=(source,), columns=("question=frage",)), 0).reported is None
    with pytest.raises(DataError, match="no column for the question"):
        load_corpus(source)
    with pytest.raises(DataError, match="no splits"):
        load_corpus(f"{source}#train", columns=("question=frage",))


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the folder is no dataset") as raised:
        load_corpus(str(tmp_path))
    assert "an empty folder" in str(raised.value)
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(DataError, match="name a file in it"):
        load_corpus(str(tmp_path))


def test_a_damaged_folder(tmp_path: Path) -> None:
    made("b").save_to_disk(str(tmp_path / "one"))
    for file in (tmp_path / "one").glob("*.arrow"):
        file.write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_corpus(str(tmp_path / "one"))


def hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def load(name: str, configuration: str | None, split: str) -> Any:
        asked.append((name, configuration, split))
        found = answer(split) if callable(answer) else answer
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr("spantune.data.hub.reachable", lambda _: True)
    return asked


def test_a_hub_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, lambda split: made("b", "c", "d") if split == "train" else made("x"))
    splits = load_splits(DataConfig(data=("owner/name:part*2",)), 0)
    assert asked == [("owner/name", "part", "train"), ("owner/name", "part", "validation")]
    assert splits.reported is not None and len(splits.reported.examples) == 1
    assert len(splits.train.examples) + len(splits.selection.examples) == 6


def test_a_hub_set_without_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = ValueError("Unknown split \"validation\". Should be one of ['train'].")
    hub(monkeypatch, lambda split: made("b", "c") if split == "train" else unknown)
    assert load_splits(DataConfig(data=("name",)), 0).reported is None
    with pytest.raises(DataError, match="no split 'validation'"):
        load_corpus("name", split="validation")


def test_a_hub_that_cannot_be_reached_names_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError("Couldn't reach 'squad' on the Hub"))
    with pytest.raises(DataError, match="cannot be loaded from the hub") as raised:
        load_corpus("squad")
    assert "--data sample" in str(raised.value) and "Couldn't reach" in str(raised.value)
    with pytest.raises(DataError, match="did you mean 'sample'"):
        load_corpus("sampel")


def test_without_a_network_the_hub_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr("spantune.data.hub.reachable", lambda _: False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match="no network"):
        load_corpus("no-such-owner/no-such-name")
    assert before == datasets.config.HF_HUB_OFFLINE, "the switch is put back"


def test_a_hub_set_without_squads_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, made("b").rename_column("context", "contexts"))
    with pytest.raises(DataError, match="--columns context=contexts"):
        load_corpus("name")
