"""Weights, order, limits and the split by context: exact counts on tiny inputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantune.data import Answer, Example, fingerprint
from spantune.data.mixing import context_key, distinct, limited, shuffled, split_by_context, weighted


def corpus(*contexts: str) -> tuple[Example, ...]:
    return tuple(Example(str(n), f"q{n}", context, (Answer("a", 0),)) for n, context in enumerate(contexts))


FOUR = corpus("a one", "a two", "a three", "a four")


@pytest.mark.parametrize(
    ("weight", "number"),
    [(1, 4), (2, 8), (0.5, 2), (2.5, 10), (0.25, 1), (0.01, 1), (0.6, 2), (0.63, 3), (1.1, 4), (1.2, 5), (3, 12)],
)
def test_a_weight_gives_this_many(weight: float, number: int) -> None:
    made = weighted(FOUR, weight, "0")
    assert len(made) == number == len({one.id for one in made})


def test_repeats_get_their_own_ids() -> None:
    assert [one.id for one in weighted(FOUR, 2, "0")] == ["0", "1", "2", "3", "0#2", "1#2", "2#2", "3#2"]
    assert [one.id for one in distinct([*FOUR[:2], *FOUR[:1], Example("0#2", "q", "a"), *FOUR[:1]])] == [
        "0",
        "1",
        "0#2",
        "0#2#2",
        "0#3",
    ]


def test_choices_are_the_same_on_every_machine() -> None:
    many = corpus(*(f"a {n}" for n in range(10)))
    assert [one.id for one in shuffled(many, 0)] == ["0", "9", "1", "7", "8", "2", "3", "5", "6", "4"]
    assert [one.id for one in limited(many, 3, 0)] == ["0", "2", "8"]
    assert [one.id for one in weighted(many, 0.3, "0:x")] == ["2", "3", "7"]


@pytest.mark.parametrize("choose", [lambda e, s: shuffled(e, s), lambda e, s: limited(e, 50, s)])
def test_another_seed_chooses_otherwise(choose) -> None:  # type: ignore[no-untyped-def]
    many = corpus(*(f"a {n}" for n in range(100)))
    assert choose(many, 0) == choose(many, 0) != choose(many, 1)


@pytest.mark.parametrize(("limit", "number"), [(None, 4), (9, 4), (4, 4), (3, 3), (1, 1)])
def test_a_limit_keeps_this_many_in_order(limit: int | None, number: int) -> None:
    kept = limited(FOUR, limit, 0)
    assert len(kept) == number and list(kept) == sorted(kept, key=lambda one: one.id)


@pytest.mark.parametrize(
    ("contexts", "fraction", "carved"),
    [("abcd", 0.0, 0), ("abcd", 0.25, 1), ("abcd", 0.5, 2), ("abcd", 0.01, 1), ("abcd", 0.99, 3), ("aaaa", 0.5, 0)],
)
def test_a_fraction_carves_this_many_contexts(contexts: str, fraction: float, carved: int) -> None:
    rest, selection = split_by_context(corpus(*contexts), fraction, 0)
    assert len({one.context for one in selection}) == carved
    assert len(rest) + len(selection) == 4


@given(
    contexts=st.lists(st.sampled_from("abcdefgh"), max_size=30),
    fraction=st.floats(0, 0.99),
    seed=st.integers(0, 2**32),
)
def test_no_context_is_on_both_sides_and_none_is_lost(contexts: list[str], fraction: float, seed: int) -> None:
    examples = corpus(*contexts)
    rest, selection = split_by_context(examples, fraction, seed)
    assert not {one.context for one in rest} & {one.context for one in selection}
    assert sorted(one.id for one in (*rest, *selection)) == sorted(one.id for one in examples)
    assert rest or not examples
    assert bool(selection) == (fraction > 0 and len(set(contexts)) > 1)


def test_white_space_makes_no_other_context() -> None:
    assert context_key("a\r\n b ") == context_key("a b") != context_key("ab")
    rest, selection = split_by_context(corpus("a b", "a\r\nb", "c", "c "), 0.5, 0)
    assert {len(rest), len(selection)} == {2}


@pytest.mark.parametrize(
    "other",
    [
        Example("x", "q", "a b", (Answer("a", 0),)),
        Example("1", "x", "a b", (Answer("a", 0),)),
        Example("1", "q", "a x", (Answer("a", 0),)),
        Example("1", "q", "a b", (Answer("b", 2),)),
        Example("1", "q", "a b"),
    ],
)
def test_the_fingerprint_sees_every_change(other: Example) -> None:
    one = Example("1", "q", "a b", (Answer("a", 0),), "title", "source")
    assert fingerprint([one]) != fingerprint([other])
    assert fingerprint([one]) == fingerprint([Example("1", "q", "a b", (Answer("a", 0),), "other", "elsewhere")])
    assert fingerprint([one, other]) != fingerprint([other, one])
