"""The files of answers: what is written reads back, what is refused and how, and scoring a file."""

import json
import math
import os
from pathlib import Path

import pytest

from spantune.cli.main import main
from spantune.data.prediction import Candidate, Prediction
from spantune.errors import DataError, RunError
from spantune.runs.atomic_files import TEMPORARY
from spantune.scoring.prediction_files import (
    first_places,
    n_best_file,
    read_null_odds,
    read_predictions,
    score_file,
    write_null_odds,
    write_predictions,
)

GOLDEN = Path(__file__).parent / "golden"


def written(folder, content):
    path = folder / "file.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_byte_order_mark_and_a_repeated_equal_entry_are_harmless(tmp_path):
    assert read_predictions(written(tmp_path, b'\xef\xbb\xbf{"q": "x", "q": "x"}')) == {"q": "x"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"id": "q", "prediction_text": "x"}]', r"not an object of ids[\s\S]*a list"),
        ('{"q": ', r"not JSON[\s\S]*line 1"),
        ("", "not JSON"),
        ("[" * 100_000, r"not JSON[\s\S]*too deeply"),
        ('{"q": ' + "7" * 5_000 + "}", r"not JSON[\s\S]*digits"),
        (b'{"q": "\xff"}', r"not UTF-8[\s\S]*byte 7"),
        ('{"ok": "x", "q7": ["x"]}', r"not a text[\s\S]*'q7'[\s\S]*a list"),
        ('{"q7": null}', r"not a text[\s\S]*'q7'[\s\S]*null[\s\S]*leave the id out"),
        ('{"q7": "x", "q7": "y"}', r"twice[\s\S]*'q7'[\s\S]*'x' and 'y'"),
    ],
)
def test_a_wrong_prediction_file_is_named(tmp_path, content, expected):
    with pytest.raises(DataError, match=expected) as caught:
        read_predictions(written(tmp_path, content))
    assert "file.json" in str(caught.value)


@pytest.mark.parametrize("value", ['"x"', "true", "NaN", "null"])
def test_wrong_null_odds_are_named(tmp_path, value):
    with pytest.raises(DataError, match=r"not a number[\s\S]*'q7'"):
        read_null_odds(written(tmp_path, f'{{"q7": {value}}}'))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"does not exist[\s\S]*absent\.json"):
        read_predictions(tmp_path / "absent.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path)


def test_the_golden_files_score_as_officially():
    expected = json.loads((GOLDEN / "v1.1-expected.json").read_text())
    found = score_file(str(GOLDEN / "v1.1-references.json"), GOLDEN / "v1.1-predictions.json")
    assert {key: found[key] for key in expected} == expected
    assert (found["missing"], found["unknown"]) == (1, 1)


@pytest.mark.parametrize(("name", "threshold"), [("with_null_odds", 1.0), ("with_null_odds_above_0", 0.0)])
def test_the_golden_files_score_as_officially_with_null_odds(name, threshold):
    expected = json.loads((GOLDEN / "v2.0-expected.json").read_text())[name]
    files = GOLDEN / "v2.0-predictions.json", GOLDEN / "v2.0-null-odds.json"
    found = score_file(str(GOLDEN / "v2.0-references.json"), *files, null_threshold=threshold)
    assert {key: found[key] for key in expected} == expected


def test_predictions_of_another_set_are_refused(tmp_path):
    other = written(tmp_path, '{"5733be284776f41900661182": "x"}')
    with pytest.raises(DataError, match=r"other questions[\s\S]*file\.json[\s\S]*'article'[\s\S]*'5733be"):
        score_file(str(GOLDEN / "v1.1-references.json"), other)


def test_wrong_offsets_do_not_stop_the_scorer_which_never_reads_them(tmp_path):
    asked = {"id": "q", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 7}]}
    paragraph = {"context": "The mill of Ada.", "qas": [asked]}
    references, predictions = tmp_path / "dev.json", tmp_path / "answers.json"
    references.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]}))
    predictions.write_text(json.dumps({"q": "ada"}))
    assert score_file(str(references), predictions)["exact_match"] == 100.0
    asked["question"] = " "
    references.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]}))
    with pytest.raises(DataError, match="empty-question"):
        score_file(str(references), predictions)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    predictions = {"q1": "“東京” café", "q2": ""}
    write_predictions(tmp_path / "new" / "predictions.json", predictions)
    assert read_predictions(tmp_path / "new" / "predictions.json") == predictions
    write_null_odds(tmp_path / "odds.json", {"q1": -1.25, "q2": math.inf})
    odds = read_null_odds(tmp_path / "odds.json")
    assert odds["q1"] == -1.25
    assert odds["q2"] > 1e300
    assert {path.name for path in tmp_path.iterdir()} == {"new", "odds.json"}  # nothing half-written stays


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "odds.json"
    write_null_odds(path, {"q": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        write_null_odds(path, {"q": math.nan})
    assert read_null_odds(path) == {"q": 1.0}
    assert [one.name for one in tmp_path.iterdir()] == ["odds.json"]


def test_what_a_killed_process_leaves_is_known_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`RunFolder` clears away what begins like this; and a file is on the disk before it takes its place."""
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(one.name for one in tmp_path.iterdir()))
    write_predictions(tmp_path / "predictions.json", {"q": "x"})
    write_null_odds(tmp_path / "null_odds.json", {"q": 1.0})
    names = {"predictions.json", "null_odds.json"}  # the folder is synchronised once the file has its name
    assert [name.startswith(TEMPORARY) for name in seen if name not in names] == [True, True]


def test_a_path_through_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write_predictions(tmp_path / "file" / "predictions.json", {})


def test_the_report_finds_the_places_of_answers_in_the_candidates_file(tmp_path: Path) -> None:
    path = tmp_path / "n_best.json"
    candidates = (Candidate('a "b" ]', 3, 10, 1.0, 0.9), Candidate("x", 0, 1, 0.5, 0.1))
    with n_best_file(path) as sink:
        for name in ("1", 'q "2"\n', "ü"):
            sink(Prediction(name, candidates[0].text, 3, 10, 1.0, 0.9, 0.0, 0.0, candidates))
    content = {name: [one._asdict() for one in candidates] for name in ("1", 'q "2"\n', "ü")}
    assert path.read_text(encoding="utf-8") == json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    assert first_places(path) == {"1": (3, 10), 'q "2"\n': (3, 10), "ü": (3, 10)}
    assert first_places(tmp_path / "none.json") == {}


def test_a_file_is_scored_by_the_rules_of_its_language(tmp_path, capsys):
    answers = {"text": ["北京市"], "answer_start": [0]}
    row = {"id": "q", "question": "?", "context": "北京市是首都", "answers": answers}
    references, predictions = tmp_path / "zh.jsonl", tmp_path / "answers.json"
    references.write_text(json.dumps(row), encoding="utf-8")
    predictions.write_text(json.dumps({"q": "北京"}), encoding="utf-8")
    assert score_file(str(references), predictions, language="zh")["f1"] == pytest.approx(80.0)
    with pytest.warns(UserWarning, match="its F1 is 0 or 100; --scoring mlqa --language zh"):
        assert score_file(str(references), predictions)["f1"] == 0
    words = ["score", "--data", str(references), "--predictions", str(predictions), "--json"]
    assert main([*words, "--scoring", "mlqa", "--language", "zh"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["scoring"], printed["language"], printed["exact_match"]) == ("mlqa", "zh", 0.0)
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "language" not in json.loads(printed.out) and "warning: the answers are written in Han" in printed.err
    assert main([*words, "--scoring", "mlqa"]) == 2
    assert "language: expected one of" in capsys.readouterr().err
