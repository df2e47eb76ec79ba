"""What a sweep may name, and what is said of what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from spantune.config import CompareConfig
from spantune.errors import ConfigError
from spantune.methods import methods
from spantune.studies.parameters import Parameter, Range, applied, described
from spantune.studies.plan import arms, final_run


def parameters(**changes: Any) -> dict[str, tuple[Parameter, ...]]:
    """Of each method."""
    return {arm.method: arm.parameters for arm in arms(CompareConfig(**{"methods": ("lora", "ia3"), **changes}))}


def mistakes(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parameters(**changes)
    return [line.strip() for line in str(raised.value).splitlines()[1:]]


def test_each_method_has_its_own_grid_of_learning_rates() -> None:
    found = parameters(sweep=("learning-rate",))
    for name in ("lora", "ia3"):
        (one,) = found[name]
        assert (one.key, one.values) == ("learning_rate", methods()[name].grid)
    assert parameters() == {"lora": (), "ia3": ()}


def test_values_of_ones_own() -> None:
    rates = ("learning-rate=1e-4,2e-4", "lora.learning_rate=1e-3, 2e-3")
    found = parameters(
        sweep=("learning-rate", "lora.rank", "weight-decay"), grid=(*rates, "lora.rank=4,8", "weight_decay=0,.1")
    )
    assert {one.key: one.values for one in found["lora"]} == {
        "learning_rate": (1e-3, 2e-3),
        "lora.rank": (4, 8),
        "weight_decay": (0.0, 0.1),
    }
    assert {one.key: one.values for one in found["ia3"]} == {"learning_rate": (1e-4, 2e-4), "weight_decay": (0.0, 0.1)}


def test_values_with_commas_of_their_own() -> None:
    found = parameters(sweep=("ia3.targets",), grid=("ia3.targets=key,value,ffn_out; linear",))
    (targets,) = found["ia3"]
    assert targets.values == ("key,value,ffn_out", "linear")
    assert str(targets) == "ia3.targets key,value,ffn_out; linear"
    assert mistakes(sweep=("ia3.targets",), grid=("ia3.targets=key,value;",)) == [
        "sweep: ia3.targets: expected a value on each side of a comma or semicolon, found key,value;"
    ]


def test_an_option_and_a_setting_of_one_name_are_two() -> None:
    found = parameters(sweep=("dropout", "lora.dropout"), grid=("dropout=0,0.1", "lora.dropout=0,0.2"))
    assert [(one.key, one.option, one.values) for one in found["lora"]] == [
        ("dropout", False, (0.0, 0.1)),
        ("lora.dropout", True, (0.0, 0.2)),
    ]
    config = CompareConfig(methods=("lora",), sweep=("lora.dropout",), grid=("lora.dropout=0,0.2",))
    (arm,) = arms(config)
    run = final_run(config, arm, 3, {"lora.dropout": 0.2})
    assert (run.options, run.dropout, run.seed) == ({"dropout": 0.2}, 0.0, 3)
    assert applied(run, arm.parameters, {}) == run


def test_ranges_are_for_a_search_that_does_not_try_all() -> None:
    found = parameters(search="optuna", sweep=("learning-rate", "lora.rank"), grid=("lora.rank=4..64:log",))
    rate, rank = found["lora"]
    assert rank.values == Range(4, 64, log=True) and isinstance(rank.values.low, int)
    assert str(rank) == "lora.rank 4..64:log"
    assert rate.values == Range(5e-4 / 3, 2e-3 * 3, log=True), "the method's grid and more on either side"
    assert mistakes(sweep=("lora.rank",), grid=("lora.rank=4..64",)) == [
        "sweep: lora.rank: expected values with commas between them, found the range 4..64 "
        "(a range is for --search optuna)"
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": ("lora.learning-rate=1e-3",)}, "a grid of one value (1e-3) chooses nothing; name two or more"),
        ({"grid": ("learning-rate=1e-3,1e-3",)}, "expected each value once, found 1e-3,1e-3"),
        ({"grid": ("learning-rate=fast,1e-3",)}, "expected a number, found 'fast'"),
        ({"grid": ("learning-rate=1e-3,100",)}, "learning-rate: expected above 0 and below 10, found 100.0"),
        ({"grid": ("learning-rate",)}, "grid: expected NAME=VALUE,VALUE, found 'learning-rate'"),
        ({"grid": ("learning-rate=1,2", "learning_rate=1,2")}, "grid: learning_rate: given twice"),
        ({"grid": ("weight-decay=0,0.1",)}, "grid: weight_decay: not swept; name it in sweep as well"),
        ({"grid": ("dora.learning-rate=1,2",)}, "dora: not among the compared methods"),
        ({"grid": ("lorra.learning-rate=1,2",)}, "lorra: no such method, did you mean 'lora'?"),
        ({"sweep": ("learning-rte",)}, "sweep: learning-rte: cannot be swept; did you mean 'learning-rate'?"),
        ({"sweep": ("epochs",)}, "sweep: epochs: cannot be swept"),
        ({"sweep": ("lora.rnk",)}, "sweep: lora.rnk: cannot be swept; did you mean 'rank'?"),
        ({"sweep": ("weight-decay",)}, "has no grid of its own; add --grid weight-decay=VALUE,VALUE"),
        ({"sweep": ("lora.rank",), "grid": ("lora.rank=4,x",)}, "expected a whole number, found 'x'"),
        ({"sweep": ("lora.rank",), "grid": ("lora.rank=0,4",)}, "rank: expected 1 to 1024, found 0"),
        ({"sweep": ("schedule",), "grid": ("schedule=linear,x",)}, "one of linear, cosine, constant, found 'x'"),
        ({"learning_rate": 1e-3}, "given as a setting, too; leave one of the two out"),
        ({"search": "optuna", "grid": ("learning-rate=2..1",)}, "expected LOW..HIGH with LOW below HIGH, found 2..1"),
        ({"search": "optuna", "grid": ("learning-rate=0..1:log",)}, "LOW below HIGH and above 0"),
        ({"sweep": ("learning-rate", "lora.learning-rate")}, "named twice for lora"),
    ],
)  # fmt: skip
def test_mistakes_are_named(changes: dict[str, Any], words: str) -> None:
    assert words in "\n".join(mistakes(**{"sweep": ("learning-rate",), **changes}))


def test_all_mistakes_of_a_sweep_are_told_together() -> None:
    assert len(mistakes(sweep=("learning-rte", "lora.rank"), grid=("x",))) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": ("learning-rate=1,2",)}, "grid: given, but nothing is swept"),
        ({"search": "optuna"}, "search: given, but nothing is swept"),
        ({"sweep": ("learning-rate", "learning-rate")}, "sweep: expected each value once"),
        ({"sweep": ("learning-rate",), "selection_fraction": 0}, "set selection-fraction above 0"),
        ({"storage": "sqlite:///x.db"}, "it is for --search optuna"),
        ({"refit": True}, "refit: given, but nothing is swept"),
        ({"refit": True, "sweep": ("learning-rate",), "early_stopping": 2}, "refit: leaves no selection split"),
        ({"models": ("a", "a")}, "models: expected each value once"),
        ({"methods": ("lora", "lora")}, "methods: expected each value once"),
        ({"models": ("a", "b"), "model": "c"}, "models: given together with model (c)"),
        ({"budget_minutes": 0}, "budget-minutes: expected above 0"),
        ({"workers": 0}, "workers: expected 1 or more"),
        ({"sweep_extend": -1, "sweep_epochs": 0, "sweep_examples": 1, "trials": 1}, "sweep-extend: expected 0 or more"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        CompareConfig(**changes)
    assert words in str(raised.value)


def test_values_in_words() -> None:
    assert described({"learning_rate": 2e-3, "lora.rank": 8}) == "learning-rate 0.002, lora.rank 8"
