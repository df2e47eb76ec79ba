"""Ratios are arithmetic: of neighbours, pair by pair."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from benchmarks.measure import Ratio, Work, alternate, compare, percentile, rates, timed


def rounds(*pairs: tuple[float, float]) -> list[dict[str, Work]]:
    """Rounds in which `a` does 10 units in the first number of seconds and `b` 2 units in the second."""
    return [{"a": Work(10, one), "b": Work(2, other)} for one, other in pairs]


def test_a_ratio_is_the_median_over_pairs() -> None:
    made = rounds((1, 1), (2, 1), (1, 4))  # 10 by 2, 5 by 2, 10 by 0.5 units a second
    assert compare(made, "a", "b") == Ratio(median=5.0, low=2.5, high=20.0, pairs=3)
    assert compare(made, "b", "a").median == pytest.approx(1 / 5)
    assert rates(made) == {"a": 10.0, "b": 2.0}


def test_a_drifting_machine_changes_no_ratio() -> None:
    slower = [1.0, 2.0, 5.0]
    assert compare(rounds(*((by, by) for by in slower)), "a", "b") == Ratio(5.0, 5.0, 5.0, 3)


def test_another_rate_can_be_compared() -> None:
    made = [{"a": Work(1, 2.0, flops=8.0), "b": Work(1, 1.0, flops=1.0)}]
    assert compare(made, "a", "b", lambda work: work.flops_per_second).median == 4.0


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        Ratio.of([])


def test_ways_take_turns_and_the_first_changes() -> None:
    called: list[str] = []

    def way(name: str) -> Callable[[], Work]:
        def block() -> Work:
            called.append(name)
            return Work(len(called), 1.0)

        return block

    made = alternate({"a": way("a"), "b": way("b")}, rounds=3, seconds=60, warm_up=1)
    assert "".join(called) == "ab" + "ab" + "ba" + "ab"
    assert [[one["a"].units, one["b"].units] for one in made] == [[3, 4], [6, 5], [7, 8]]


def test_no_round_begins_after_the_time_but_one_is_made() -> None:
    assert len(alternate({"a": lambda: Work(1, 1)}, rounds=9, seconds=0)) == 1


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 10), (0.95, 19), (1.0, 20), (0.01, 1)])
def test_percentiles_are_values_that_were_measured(share: float, wanted: int) -> None:
    assert percentile(range(20, 0, -1), share) == wanted


def test_timed_measures_the_block() -> None:
    done = timed(lambda: time.sleep(0.02), units=4)
    assert done.units == 4 and done.seconds >= 0.02
    assert done.rate == 4 / done.seconds
