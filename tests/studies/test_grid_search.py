"""What a sweep tries and chooses, with made-up scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spantune.studies.grid_search import Chosen, GridSearch
from spantune.studies.parameters import Parameter, Values


def rate(*values: float) -> Parameter:
    return Parameter("learning_rate", float, values)


def rank(*values: int) -> Parameter:
    return Parameter("lora.rank", int, values)


def searched(
    parameters: list[Parameter],
    default: Values,
    f1: Callable[[Values], float | None],
    extend: int = 2,
    problem: Callable[[Parameter, Any], str | None] = lambda parameter, value: None,
) -> tuple[Chosen, list[tuple[int, Values]]]:
    """The choice, and what was tried: the extension and the values of each trial."""
    search, tried = GridSearch(parameters, default, extend, problem), []
    while not search.done:
        for trial in search.ask(1):
            tried.append((trial.extension, dict(trial.values)))
            search.tell(trial, f1(trial.values))
    return search.chosen(), tried


def peak(at: float) -> Callable[[Values], float]:
    """Best at one learning rate, and the worse the farther from it."""
    return lambda values: 50 - abs(values["learning_rate"] - at) * 1000


def test_a_best_value_inside_is_chosen() -> None:
    chosen, tried = searched([rate(1e-3, 2e-3, 4e-3)], {"learning_rate": 2e-3}, peak(2e-3))
    assert chosen == Chosen({"learning_rate": 2e-3}, "F1 50.0 on the selection split, the best of 3")
    assert [extension for extension, _ in tried] == [0, 0, 0]


@pytest.mark.parametrize(
    ("at", "beyond", "chosen"),
    [(8e-3, [8e-3, 1.6e-2], 8e-3), (4e-3, [8e-3], 4e-3), (0.5e-3, [5e-4, 2.5e-4], 5e-4)],
)
def test_a_grid_goes_on_beyond_its_edge_until_the_best_lies_inside(
    at: float, beyond: list[float], chosen: float
) -> None:
    found, tried = searched([rate(1e-3, 2e-3, 4e-3)], {"learning_rate": 2e-3}, peak(at))
    assert [(n, {"learning_rate": value}) for n, value in enumerate(beyond, 1)] == tried[3:]
    assert (found.values, found.edge) == ({"learning_rate": chosen}, None)


def test_extensions_are_bounded_and_the_edge_is_told() -> None:
    found, tried = searched([rate(1e-3, 3e-3, 1e-2)], {"learning_rate": 3e-3}, peak(1.0))
    assert [values["learning_rate"] for _, values in tried[3:]] == [0.033, 0.11], "by the ratio, as people write it"
    assert found.values == {"learning_rate": 0.11}
    assert found.edge == "learning-rate 0.11 is the highest that was tried (the bound of 2 extensions)"
    found, tried = searched([rate(1e-3, 3e-3)], {"learning_rate": 3e-3}, peak(1.0), extend=0)
    assert (
        len(tried) == 2
        and found.edge == "learning-rate 0.003 is the highest that was tried (the bound of 0 extensions)"
    )


def test_a_run_that_failed_beyond_the_edge_ends_the_grid() -> None:
    def diverges(values: Values) -> float | None:
        return None if values["learning_rate"] > 4e-3 else peak(1.0)(values)

    found, tried = searched([rate(1e-3, 2e-3, 4e-3)], {"learning_rate": 2e-3}, diverges)
    assert [values["learning_rate"] for _, values in tried[3:]] == [8e-3]
    assert (found.values, found.edge) == ({"learning_rate": 4e-3}, None)


def test_equal_scores_take_the_value_nearest_the_default() -> None:
    found, tried = searched([rate(1e-3, 2e-3, 4e-3)], {"learning_rate": 2e-3}, lambda values: 0.0)
    assert found == Chosen(
        {"learning_rate": 2e-3}, "F1 0.0 on the selection split, as 2 others, and nearest the default"
    )
    assert len(tried) == 3, "an edge that is no better is no reason to go on"


def test_nothing_finished() -> None:
    found, tried = searched([rate(1e-3, 2e-3)], {"learning_rate": 1e-3}, lambda values: None)
    assert found == Chosen(None, "no run of the sweep finished") and len(tried) == 2


def test_whole_numbers_stay_whole_and_valid() -> None:
    big = lambda values: float(values["lora.rank"])  # noqa: E731
    found, tried = searched([rank(4, 8, 16)], {"lora.rank": 16}, big)
    assert [values["lora.rank"] for _, values in tried[3:]] == [32, 64] and isinstance(found.values["lora.rank"], int)

    def refused(parameter: Parameter, value: int) -> str | None:
        return "rank: expected 1 to 32" if value > 32 else None

    found, tried = searched([rank(4, 8, 16)], {"lora.rank": 16}, big, problem=refused)
    assert [values["lora.rank"] for _, values in tried[3:]] == [32]
    assert found.edge == "lora.rank 32 is the highest that was tried (there is nothing beyond: rank: expected 1 to 32)"
    downwards = lambda values: -float(values["lora.rank"])  # noqa: E731
    found, tried = searched([rank(1, 2)], {"lora.rank": 1}, downwards, problem=lambda _, value: "too low" * (value < 1))
    assert len(tried) == 2 and found.edge.endswith("is the lowest that was tried (there is nothing beyond: too low)")


def test_zero_has_no_ratio() -> None:
    decay = Parameter("weight_decay", float, (0.0, 0.01))
    found, tried = searched([decay], {"weight_decay": 0.01}, lambda values: values["weight_decay"])
    assert len(tried) == 2
    assert (
        found.edge == "weight-decay 0.01 is the highest that was tried (the grid has no ratio there, since 0 is on it)"
    )


def test_several_parameters_are_combined_and_go_on_along_each() -> None:
    best = {"learning_rate": 4e-3, "lora.rank": 8}

    def near(values: Values) -> float:
        return (
            50
            - abs(values["learning_rate"] - best["learning_rate"]) * 1000
            - abs(values["lora.rank"] - best["lora.rank"])
        )

    found, tried = searched([rate(1e-3, 2e-3), rank(8, 16)], {"learning_rate": 1e-3, "lora.rank": 16}, near)
    assert [values for extension, values in tried if not extension] == [
        {"learning_rate": 1e-3, "lora.rank": 8},
        {"learning_rate": 1e-3, "lora.rank": 16},
        {"learning_rate": 2e-3, "lora.rank": 8},
        {"learning_rate": 2e-3, "lora.rank": 16},
    ]
    assert {"learning_rate": 4e-3, "lora.rank": 8} in [values for extension, values in tried if extension == 1]
    assert {"learning_rate": 2e-3, "lora.rank": 4} in [values for extension, values in tried if extension == 1]
    assert found.values == best


def test_words_have_no_edge() -> None:
    schedule = Parameter("schedule", str, ("linear", "cosine"))
    found, tried = searched([schedule], {"schedule": "linear"}, lambda values: float(values["schedule"] == "cosine"))
    assert (found.values, found.edge, len(tried)) == ({"schedule": "cosine"}, None, 2)


def test_a_trial_that_is_dropped_ends_the_search() -> None:
    search = GridSearch([rate(1e-3, 2e-3)], {"learning_rate": 1e-3}, extend=2, problem=lambda parameter, value: None)
    low, high = search.ask(1)
    search.tell(low, 1.0)
    search.tell(high, 2.0)
    (beyond,) = search.ask(1)
    search.drop(beyond, "no time")
    assert search.done and search.ask(1) == []
    assert search.chosen().edge == "learning-rate 0.002 is the highest that was tried (no time)"


def test_labels_name_folders() -> None:
    targets = Parameter("lora.targets", str, ("a/b", "c d"))
    search = GridSearch(
        [rate(1e-3), targets], {"learning_rate": 1e-3, "lora.targets": "x"}, extend=0, problem=lambda *_: None
    )
    assert [trial.label for trial in search.ask(1)] == [
        "learning-rate-0.001-targets-a%2fb",
        "learning-rate-0.001-targets-c%20d",
    ]
