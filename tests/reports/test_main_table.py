"""The comparison table: numbers by hand, widths, and nothing hidden."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import METHODS, record, study

from spantune.reports.run_groups import group
from spantune.reports.tables import number_format
from spantune.reports.tables.main_table import comparison, csv_text
from spantune.runs import DataRecord, Timings
from spantune.scoring.statistics import Estimate, estimate


def scored(f1, method="lora", seed=0, **changes):
    return record(method, seed, metrics={"reported": {"em": f1 / 2, "f1": f1}}, **changes)


def rows(table):
    return list(csv.DictReader(io.StringIO(table.to_csv())))


def test_seeds_share_a_row_with_mean_and_sample_standard_deviation():
    (row,) = rows(comparison([scored(50.0, seed=0), scored(52.0, seed=1), scored(54.0, seed=2)]))
    assert (float(row["f1_mean"]), float(row["f1_std"]), row["runs"], row["seeds"]) == (52.0, 2.0, "3", "0 1 2")
    text = comparison([scored(50.0, seed=0), scored(52.0, seed=1), scored(54.0, seed=2)]).to_text()
    assert "26.0 ± 1.0  52.0 ± 2.0" in text and "different seeds" in text


def test_one_run_has_no_spread():
    text = comparison([scored(50.0)]).to_text()
    assert "±" not in text and "Runs" not in text
    assert rows(comparison([scored(50.0)]))[0]["f1_std"] == ""


def test_the_best_f1_comes_first_and_unscored_rows_last():
    table = comparison(
        [scored(10.0, "ia3"), replace(record("loha"), status="failed"), scored(30.0), scored(20.0, "full")]
    )
    assert [one.method for one in table.groups] == ["lora", "full", "ia3", "loha"]


def test_every_column_holds_what_the_record_says():
    one = scored(
        50.0, timings=Timings(61.4, 5.0, 70.0, 17.64), adapter_bytes=1_234_567, peak_memory_bytes=1_900_000_000
    )
    head, rule, line = comparison([one]).to_text().splitlines()[3:6]
    assert head.split() == ["Method", "EM", "F1", "Trainable", "Share", "Adapter", "Train", "s", "Ex/s", "Memory"]
    assert set(rule) == {"-", " "}
    assert " ".join(line.split()) == "LoRA 25.0 50.0 443 k 2.0% 1.2 MB 61 17.6 1.9 GB"


def test_a_run_that_did_not_finish_is_named_with_its_reason_and_is_in_no_mean():
    failed = replace(scored(99.0, seed=1), status="failed", reason="the loss is not finite\nat step 31")
    killed = replace(scored(99.0, seed=2), status="interrupted")
    table = comparison([scored(50.0), failed, killed])
    assert rows(table)[0]["f1_mean"] == "50.0"
    for text in (table.to_text(), table.to_markdown()):
        assert "Not in the table: LoRA, seed 1, failed: the loss is not finite at step 31" in text
        assert "LoRA, seed 2, interrupted" in text and "1/3" in text
    assert "seed 1: failed the loss is not finite at step 31" in rows(table)[0]["unfinished"]


def test_a_method_without_a_finished_run_keeps_its_row():
    text = comparison(
        [scored(50.0), *(replace(record("ia3", seed), status="failed", reason="x") for seed in (0, 1))]
    ).to_text()
    (line,) = [line for line in text.splitlines() if line.startswith("(IA)³")]
    assert "–" in line and "0/2" in line
    assert "(IA)³, seeds 0, 1, failed: x" in text


def test_the_header_says_on_what_and_where():
    header = comparison(study()).header
    assert header == (
        "Scored on the reported set: xquad-en.json, 1,190 questions.",
        "Measured on 2 cores of Intel Xeon Platinum 8480, 8.0 GB memory.",
    )


def test_what_forbids_a_comparison_is_said():
    other = scored(
        50.0, "full", data={"reported": DataRecord(("other.json",), "zz", 20)}, hardware={"cpu": "M", "cores": 8}
    )
    selected = record("ia3", metrics={"selection": {"em": 1.0, "f1": 2.0}})
    header = "\n".join(comparison([scored(50.0), other, selected]).header)
    for words in ("other.json, 20 questions", "different questions", "different machines", "chose the best checkpoint"):
        assert words in header


def test_runs_that_differ_in_more_than_the_seed_get_rows_of_their_own():
    runs = [
        scored(50.0, options={"rank": 8}),
        scored(60.0, options={"rank": 64}),
        scored(61.0, seed=1, options={"rank": 64}),
    ]
    assert [one.label for one in comparison(runs).groups] == ["LoRA, rank 64", "LoRA, rank 8"]
    runs = [scored(50.0, config={"epochs": 1.0, "seed": 0}), scored(60.0, config={"epochs": 2.0, "seed": 4})]
    assert [one.label for one in comparison(runs).groups] == ["LoRA, epochs 2", "LoRA, epochs 1"]
    runs = [scored(50.0), scored(60.0, model="models/bert-base")]
    assert [one.label for one in comparison(runs).groups] == ["LoRA, bert-base", "LoRA, minilm"]


def test_settings_without_influence_on_the_result_make_no_new_row():
    configs = [{"output": name, "resume": name == "b", "mlflow": False, "seed": 0, "epochs": 1.0} for name in "ab"]
    assert len(group([scored(50.0, config=config, seed=seed) for seed, config in enumerate(configs)])) == 1


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("gpu", [None, 3 * 10**9])
def test_it_fits_a_hundred_columns(seeds, gpu):
    runs = [replace(one, peak_gpu_memory_bytes=gpu) for one in study(seeds)]
    runs[0] = replace(runs[0], status="failed", reason="no memory " * 100, label="A method with a remarkably long name")
    text = comparison(runs).to_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "remarkably" in text


def test_no_runs_make_an_empty_table():
    table = comparison([])
    assert "There are no runs." in table.to_text() and "There are no runs." in table.to_markdown()
    assert table.to_csv() == "method\n"


def test_markdown_cells_cannot_break_the_table():
    table = comparison([scored(50.0, label="a|b <i>\n")])
    (row,) = [line for line in table.to_markdown().splitlines() if "50.0" in line]
    assert row.startswith("| a\\|b &lt;i> |")


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100%"), (0.0995, "10%"), (0.0994, "9.9%"), (0.0195, "1.9%"), (0.0034, "0.34%"), (0.0000339, "0.0034%")],
)
def test_shares_have_two_digits(share, text):
    assert number_format.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (-3, "0 s"), (40.2, "40 s"), (99.5, "1.7 min"), (5400, "90 min"), (11_100, "3.1 h")],
)
def test_durations(seconds, text):
    assert number_format.duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_counts_and_sizes_are_short_and_true(value):
    for text, factors in (
        (number_format.count(value), {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}),
        (number_format.size(value), None),
    ):
        number, _, unit = text.partition(" ")
        factor = (factors or {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12})[unit]
        assert len(number) <= 4
        assert abs(float(number) * factor - value) <= 0.051 * factor or float(number) >= 100
        assert float(number) * factor == pytest.approx(value, rel=0.06)


def test_estimates_leave_out_what_is_unknown():
    assert estimate([1.0, None, 3.0]) == Estimate(2.0, pytest.approx(2**0.5), 2)
    assert estimate([None]) is None


def test_a_table_of_all_methods_names_each():
    assert {one.method for one in comparison(study()).groups} == METHODS.keys()


def test_no_cell_is_a_formula():
    text = csv_text([{"label": "=cmd|' /C calc'!A0", "mean": -1.5, "text": "-1.5"}, {"label": "@x", "mean": None}])
    assert text == "label,mean,text\n'=cmd|' /C calc'!A0,-1.5,-1.5\n'@x,,\n"
