"""The table and the file say what was measured, on what, and whether a bar was met."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.measure import Ratio
from benchmarks.results import Bar, Figure, Part, Report

RATIO = Ratio(median=4.0, low=3.5, high=123.4, pairs=5)
FIGURES = (
    Figure.ratio("fast enough", RATIO, bar=3, note="a remark"),
    Figure.ratio("too slow", RATIO, bar=10),
    Figure.share("a share", Ratio(0.5, 0.25, 0.75, 2), bar=50),
    Figure("held", 1.3, bar=Bar(1.2, "at most")),
    Figure("memory", 12.5, "MB"),
)
REPORT = Report(
    [Part("train", FIGURES, seconds=1.23, details={"raw": [1, 2]})],
    {"model": "minilm", "data": "sample", "batch_size": 8},
    {"spantune": "bfloat16", "usual recipe": "float32"},
)


@pytest.mark.parametrize(("figure", "met"), list(zip(FIGURES, (True, False, True, False, None), strict=True)))
def test_a_bar_is_met_or_not(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_a_value_on_the_bar_meets_it() -> None:
    assert Bar(3).met(3.0) and Bar(3, "at most").met(3.0)


def test_every_figure_is_a_row() -> None:
    rows = [line for line in REPORT.to_markdown().splitlines() if line.startswith("| train")]
    assert rows == [
        "| train | fast enough | 4× | 3.5 to 123 (5) | at least 3× | yes |",
        "| train | too slow | 4× | 3.5 to 123 (5) | at least 10× | **no** |",
        "| train | a share | 50% | 25 to 75 (2) | at least 50% | yes |",
        "| train | held | 1.3× | once | at most 1.2× | **no** |",
        "| train | memory | 12.5 MB | once |  |  |",
    ]


def test_the_table_says_what_a_reader_must_know() -> None:
    text = REPORT.to_markdown()
    for wanted in ("cores", "torch", "spantune bfloat16, usual recipe float32", "model minilm", "a remark"):
        assert wanted in text


def test_the_file_has_everything(tmp_path: Path) -> None:
    raw, table = REPORT.write(tmp_path / "new", "cpu")
    content = json.loads(raw.read_text(encoding="utf-8"))
    assert table.read_text(encoding="utf-8") == REPORT.to_markdown()
    assert content.keys() == {
        *("format", "date", "versions", "hardware", "git", "precision", "settings", "parts"),
    }
    part = content["parts"]["train"]
    assert part["details"] == {"raw": [1, 2]} and part["seconds"] == 1.2
    first = part["figures"][0]
    assert (first["value"], first["low"], first["high"], first["pairs"], first["met"]) == (4.0, 3.5, 123.4, 5, True)
    assert first["bar"] == {"value": 3, "kind": "at least"}


def test_a_report_grows_part_by_part() -> None:
    more = replace(REPORT, parts=(*REPORT.parts, Part("growth", FIGURES[:1])))
    assert list(more.to_json()["parts"]) == ["train", "growth"]
