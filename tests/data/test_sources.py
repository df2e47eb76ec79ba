import json
from pathlib import Path

import pytest

from spantune.data import load_corpus
from spantune.data.source import parse_source, reached
from spantune.errors import DataError


@pytest.mark.parametrize(
    ("text", "address", "split", "weight"),
    [
        ("sample", "sample", None, 1.0),
        ("sample*0.5", "sample", None, 0.5),
        ("squad#validation", "squad", "validation", 1.0),
        ("squad#train[:10%]*2", "squad", "train[:10%]", 2.0),
        ("google/xquad:xquad.en", "google/xquad:xquad.en", None, 1.0),
        (r"C:\data\train.json*3", r"C:\data\train.json", None, 3.0),
    ],
)
def test_the_grammar(text: str, address: str, split: str | None, weight: float) -> None:
    source = parse_source(text)
    assert (source.address, source.split, source.weight) == (address, split, weight)


@pytest.mark.parametrize("weight", ["0", "-1", "x", "", "nan", "inf", "1e9"])
def test_a_weight_that_is_no_number_above_0(weight: str) -> None:
    with pytest.raises(DataError, match="weight of a data source is not valid"):
        parse_source(f"sample*{weight}")


@pytest.mark.parametrize("text", ["", "  ", "*2", "#train"])
def test_a_source_without_an_address(text: str) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        parse_source(text)


def test_a_file_that_exists_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a*b#c.jsonl"
    path.write_text(json.dumps({"question": "q?", "context": "a b", "answer": "b"}), encoding="utf-8")
    assert len(load_corpus(str(path)).examples) == 1


@pytest.mark.parametrize("text", ["nothere.json", "./nothere", "some/where/data", "~/nothere", "nothere.txt"])
def test_a_path_that_does_not_exist_never_goes_to_the_hub(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spantune.data.corpus.hub_rows", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(DataError, match="missing file or folder") as raised:
        load_corpus(text)
    assert raised.value.where == text and "`sample`" in str(raised.value)


def test_a_missing_file_beside_others_lists_them(tmp_path: Path) -> None:
    (tmp_path / "train.json").touch()
    with pytest.raises(DataError) as raised:
        load_corpus(str(tmp_path / "tarin.json"))
    assert "train.json" in (raised.value.found or "")


def test_a_file_has_no_splits(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    with pytest.raises(DataError, match="a file has no splits"):
        load_corpus(f"{tmp_path / 'a.json'}#validation")


def test_the_sample_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spantune.data.corpus.SAMPLE_FOLDER", tmp_path)
    with pytest.raises(DataError, match="built-in sample is not there"):
        load_corpus("sample")
    for split in ("train", "validation"):
        asked = {"id": split, "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]}
        nested = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "Ada", "qas": [asked]}]}]}
        (tmp_path / f"{split}-v1.1.json").write_text(json.dumps(nested), encoding="utf-8")
    assert [one.id for one in load_corpus("sample").examples] == ["train"]
    assert [one.id for one in load_corpus("sample", split="validation").examples] == ["validation"]
    assert [one.id for one in load_corpus("sample#validation").examples] == ["validation"]
    assert load_corpus("sample").name == "sample" and load_corpus("sample#validation").name == "sample#validation"
    with pytest.raises(DataError, match="no split 'tran'") as raised:
        load_corpus("sample#tran")
    assert "sample#train" in str(raised.value)


def test_a_relative_source_is_found_beside_what_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, study = tmp_path / "here", tmp_path / "there" / "studies" / "one"
    for folder in (here / "data", study, study.parents[1] / "data"):
        folder.mkdir(parents=True)
    (study.parents[1] / "data" / "a.json").touch()
    (study / "squad").mkdir()
    monkeypatch.chdir(here)
    above = [study, *study.parents]
    assert reached("data/a.json", above) == str(study.parents[1] / "data" / "a.json")
    assert reached(" data/a.json#dev", above) == f"{study.parents[1] / 'data' / 'a.json'}#dev"
    for text in ("data/b.json", "squad", "owner/squad", "sample", "/gone/a.json", "data/a.json*0.5"):
        assert reached(text, above) == text
    (here / "data" / "a.json").touch()
    assert reached("data/a.json", above) == "data/a.json", "the working folder goes before"
