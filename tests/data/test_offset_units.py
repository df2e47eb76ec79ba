"""Offsets of a whole file that count something else than characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spantune.data import Answer, Corpus, examine, load_corpus


def read(folder: Path, rows: list[dict[str, object]]) -> Corpus:
    (folder / "a.json").write_text(json.dumps(rows))
    return examine(str(folder / "a.json"))


COUNTS = {
    "UTF-16 units (as": lambda before: len(before.encode("utf-16-le")) // 2,
    "bytes of UTF-8;": lambda before: len(before.encode()),
    "characters with each line end (CR LF) as one": lambda before: len(before.replace("\r\n", "\n")),
    "UTF-16 units with": lambda before: len(before.replace("\r\n", "\n").encode("utf-16-le")) // 2,
    "bytes of UTF-8 with": lambda before: len(before.replace("\r\n", "\n").encode()),
}


@pytest.mark.parametrize("unit", COUNTS)
def test_26_one_conversion_explains_all_offsets(unit: str, tmp_path: Path) -> None:
    context = "🙂 Où est Ada?\r\nAda est là,\r\nAda 🙂 Ada, 北京 Ada"
    places = [at for at in range(len(context)) if context.startswith("Ada", at)]
    rows = [
        {"id": f"{at}", "question": f"Q{at}?", "context": context, "answers": [{"text": "Ada", "answer_start": start}]}
        for at in places
        for start in [COUNTS[unit](context[:at])]
    ]
    corpus = read(tmp_path, rows)
    assert [one.answers for one in corpus.examples] == [(Answer("Ada", at),) for at in places]
    assert [defect.kind for defect in corpus.defects] == ["offset-unit"] and unit in f"{corpus.defects[0].detail};"
    with pytest.warns(UserWarning, match="answer_start counts"):
        load_corpus(str(tmp_path / "a.json"))


def test_26_offsets_counted_with_cr_lf_on_a_text_with_lf(tmp_path: Path) -> None:
    context = "One\ntwo Ada\nthree Ada"
    rows = [{"id": "1", "question": "Q?", "context": context, "answers": [{"text": "Ada", "answer_start": 20}]}]
    corpus = read(tmp_path, rows)
    assert corpus.examples[0].answers == (Answer("Ada", 18),)
    assert [defect.kind for defect in corpus.defects] == ["offset-unit"]
