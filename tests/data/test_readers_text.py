"""Packed files, byte order marks, and advice on files that cannot be read as they are."""

import bz2
import gzip
import json
import lzma
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spantune.data import Answer, load_corpus
from spantune.data.readers import text_files
from spantune.errors import DataError

ROW = {"id": "1", "question": "Who?", "context": "It was Ada.", "answer": "Ada"}
CSV = "id,question,context,answer\n1,Who?,It was Ada.,Ada\n"
TEXTS = {".json": json.dumps([ROW]), ".jsonl": json.dumps(ROW), ".csv": CSV, ".tsv": CSV.replace(",", "\t")}


def loads(path: Path) -> bool:
    (example,) = load_corpus(str(path)).examples
    return example.answers == (Answer("Ada", 7),)


@pytest.mark.parametrize("ending", TEXTS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_gzip(ending: str, mark: str, tmp_path: Path) -> None:
    content = (mark + TEXTS[ending]).encode()
    packed = gzip.compress(content)
    for name, written in (
        (f"a{ending}.gz", packed),
        (f"a{ending}", packed),
        (f"b{ending}.gz", content),
        (f"c{ending}.gz", gzip.compress(content[:20]) + gzip.compress(content[20:])),
        (f"d{ending}.gz", packed + b"\0" * 64),
        (f"d2{ending}.gz", gzip.compress(packed)),
        (f"e{ending.upper()}.GZ", packed),
    ):
        (tmp_path / name).write_bytes(written)
        assert loads(tmp_path / name), name


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_gzip_that_was_cut_off(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(TEXTS[".json"].encode())[:-cut])
    with pytest.raises(DataError, match="gzip file is damaged"):
        loads(path)
    path.write_bytes(gzip.compress(TEXTS[".json"].encode())[:-cut] + b"x" * cut)
    with pytest.raises(DataError, match="gzip file is damaged"):
        loads(path)


def test_gzip_that_is_unreasonably_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_LARGEST_UNCHECKED", 2**20)
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b" " * 2**23 + TEXTS[".json"].encode()))
    with pytest.raises(DataError, match=r"unreasonably large(.|\n)*gzip -d"):
        loads(path)
    path.write_bytes(gzip.compress(b" " * 2**19 + TEXTS[".json"].encode()))
    assert loads(path)


@pytest.mark.parametrize("name", ["a.zip", "a.json.zip", "a.json"])
def test_the_advice_on_zip_works_when_it_is_followed(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        file.writestr("inner.json", TEXTS[".json"])
    with pytest.raises(DataError) as raised:
        loads(tmp_path / name)
    advice = re.search(r"python (-m zipfile -e \S+ \S+)", str(raised.value.fix))
    assert advice
    arguments = [{"FILE": name}.get(word, word) for word in shlex.split(advice[1])]
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True)
    assert loads(tmp_path / "FOLDER" / "inner.json")


@pytest.mark.parametrize(("pack", "kind"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_other_packers_are_named(pack, kind: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.json").write_bytes(pack(TEXTS[".json"].encode()))
    with pytest.raises(DataError, match=f"the file is packed(.|\n)*{kind}(.|\n)*unpack it first"):
        loads(tmp_path / "a.json")
    (tmp_path / "a.json.bz2").write_bytes(b"")
    with pytest.raises(DataError, match=r"unknown file ending '.bz2'(.|\n)*unpack it first"):
        loads(tmp_path / "a.json.bz2")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_advice_on_encodings_works_when_it_is_followed(packed: bool, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / ("a file.csv" + ".gz" * packed)
    content = CSV.replace("Who", "Où").encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError) as raised:
        loads(path)
    subprocess.run(str(raised.value.fix).removeprefix("convert it: "), shell=True, cwd=tmp_path, check=True)
    assert loads(tmp_path / "utf8.csv")
    assert load_corpus(str(tmp_path / "utf8.csv")).examples[0].question == "Où?"


def test_a_missing_packed_file_never_goes_to_the_hub(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl.gz").touch()
    with pytest.raises(DataError, match=r"missing file or folder(.|\n)*b\.jsonl\.gz"):
        load_corpus(str(tmp_path / "a.jsonl.gz"))
