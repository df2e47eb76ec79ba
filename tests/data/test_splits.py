import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from spantune.config import DataConfig
from spantune.data import Example, Splits, examine, fingerprint, load_evaluation, load_splits
from spantune.errors import DataError


def write(path: Path, contexts: int, questions: int = 2, prefix: str = "", **change: Any) -> str:
    rows = []
    for c in range(contexts):
        for q in range(questions):
            row = {"id": f"{prefix}{c}-{q}", "question": f"q{q}", "context": f"{prefix} answer {c}", "answer": "answer"}
            rows.append({**row, **change} if (c, q) == (0, 0) else row)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def splits(seed: int = 0, **settings: Any) -> Splits:
    return load_splits(DataConfig(**settings), seed)


def contexts(examples: tuple[Example, ...]) -> set[str]:
    return {one.context for one in examples}


def test_train_and_selection_share_no_context(tmp_path: Path) -> None:
    made = splits(data=(write(tmp_path / "a.jsonl", 20),), selection_fraction=0.1)
    assert (len(made.train.examples), len(made.selection.examples), made.reported) == (36, 4, None)
    assert not contexts(made.train.examples) & contexts(made.selection.examples)
    assert made.counts["train mixed"] == 40


def test_without_a_fraction_nothing_is_selected(tmp_path: Path) -> None:
    made = splits(data=(write(tmp_path / "a.jsonl", 3),), selection_fraction=0.0)
    assert (len(made.train.examples), made.selection.examples) == (6, ())


def test_one_context_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one context cannot be split") as raised:
        splits(data=(write(tmp_path / "a.jsonl", 1),))
    assert "--selection-fraction 0" in str(raised.value)


@pytest.mark.parametrize("limit", [None, 10, 40, 1000])
def test_the_limit_counts_examples_and_none_is_lost(limit: int | None, tmp_path: Path) -> None:
    made = splits(data=(write(tmp_path / "a.jsonl", 20),), max_train_examples=limit)
    kept = min(limit or 40, 40)
    assert len(made.train.examples) + len(made.selection.examples) == kept
    assert made.counts["train over the limit"] == 40 - kept


def test_a_smaller_limit_is_part_of_a_larger(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", 20)
    small, large = (
        {one.id for one in (*made.train.examples, *made.selection.examples)}
        for made in (splits(data=(source,), max_train_examples=limit) for limit in (10, 20))
    )
    assert len(small) == 10 and small < large


def test_the_seed_decides(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", 20)
    prints = [splits(seed, data=(source,), max_train_examples=10).train.fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_a_mix_with_weights(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.jsonl", 5, prefix="a"), write(tmp_path / "b.jsonl", 10, prefix="b")
    made = splits(data=(f"{one}*2", f"{two}*0.5"), selection_fraction=0.0)
    ids = [example.id for example in made.train.examples]
    assert sum(id.startswith("a") for id in ids) == 20 and sum(id.startswith("b") for id in ids) == 10
    assert len(set(ids)) == 30 and ids != sorted(ids)
    assert made.train.fingerprint == fingerprint(made.train.examples)


def test_ids_that_two_sources_share_are_made_distinct(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.jsonl", 2), write(tmp_path / "b.jsonl", 2)
    made = splits(data=(one, two), selection_fraction=0.0)
    assert len({example.id for example in made.train.examples}) == 8
    assert made.counts["train ids renamed"] == 4


def test_the_reported_set_and_its_limit(tmp_path: Path) -> None:
    train, held_out = write(tmp_path / "a.jsonl", 5, prefix="a"), write(tmp_path / "b.jsonl", 5, prefix="b")
    made = splits(data=(train,), eval_data=(held_out,), max_eval_examples=4)
    assert made.reported is not None and len(made.reported.examples) == 4
    assert made.counts["reported over the limit"] == 6 and made.shared_contexts == 0
    assert made.reported == load_evaluation((held_out,), limit=4)
    other = splits(7, data=(train,), eval_data=(held_out,), max_eval_examples=4)
    assert other.reported == made.reported, "runs with other seeds are scored on the same questions"
    assert other.train.fingerprint != made.train.fingerprint
    without = splits(data=(train,), eval_data=(held_out,), score_reported=False)
    assert without.reported is None and without.counts["reported"] == 0


def test_shared_contexts_are_counted_and_warned_about(tmp_path: Path) -> None:
    train, held_out = write(tmp_path / "a.jsonl", 5), write(tmp_path / "b.jsonl", 3)
    with pytest.warns(UserWarning, match="3 contexts of the reported set"):
        made = splits(data=(train,), eval_data=(held_out,))
    assert made.shared_contexts == 3


def test_the_sample_brings_its_validation_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spantune.data.corpus.SAMPLE_FOLDER", tmp_path)
    for split, words in (("train", "abcd"), ("validation", "xy")):
        paragraphs = [
            {"context": word, "qas": [{"id": word, "question": "q", "answers": [{"text": word, "answer_start": 0}]}]}
            for word in words
        ]
        value = {"data": [{"title": "t", "paragraphs": paragraphs}]}
        (tmp_path / f"{split}-v1.1.json").write_text(json.dumps(value), encoding="utf-8")
    plain = write(tmp_path / "plain.jsonl", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = splits(data=("sample*2", plain))
    assert made.reported is not None and [one.id for one in made.reported.examples] == ["x", "y"]
    assert splits(data=("sample#validation",)).reported is None
    assert splits(data=(plain,)).reported is None


def test_a_v2_file_in_a_v1_run(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", 3, answer=None, answers=[])
    with pytest.raises(DataError, match="1 of 6 questions have no answer") as raised:
        splits(data=(source,))
    assert "first id 0-0" in str(raised.value) and "--squad-v2" in str(raised.value)
    good = write(tmp_path / "b.jsonl", 3, prefix="b")
    with pytest.raises(DataError, match="--squad-v2"):
        splits(data=(good,), eval_data=(source,))
    made = splits(data=(source,), squad_v2=True)
    assert len(made.train.examples) + len(made.selection.examples) == 6


def test_broken_data_is_refused_or_repaired_and_counted(tmp_path: Path) -> None:
    lost = write(tmp_path / "a.jsonl", 5, answer="Bob", prefix="a")
    moved = write(tmp_path / "b.jsonl", 5, answer_start=99, prefix="b")
    for source, words in ((lost, "offset-missing"), (moved, "answer-offset")):
        with pytest.raises(DataError, match=words) as raised:
            splits(data=(source,))
        assert "--repair" in str(raised.value)
    with pytest.warns(UserWarning, match="contexts of the reported set"):
        made = splits(data=(lost, moved), eval_data=(lost,), repair=True, selection_fraction=0.0)
    assert len(made.train.examples) == 19
    assert made.repairs == {
        "offset-missing beyond repair": 1,
        "answer-offset mended": 1,
        "examples dropped": 1,
        "reported offset-missing beyond repair": 1,
        "reported examples dropped": 1,
    }


def test_nothing_left_after_the_repair(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", 1, questions=1, answer="Bob")
    assert examine(source).examples == ()
    with pytest.raises(DataError, match="no example is left"):
        splits(data=(source,), repair=True)
