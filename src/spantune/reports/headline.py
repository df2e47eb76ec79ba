"""What a comparison shows, in a sentence that its statistics allow, and in a few more what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spantune.reports.run_groups import Group
from spantune.reports.tables import number_format
from spantune.scoring.statistics import Comparison, Difference, Standing


@dataclass(frozen=True)
class Finding:
    """The first sentence of a report, and those that follow it."""

    sentence: str
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.sentence, *self.more))


def finding(groups: Sequence[Group], comparison: Comparison | None, missing: Sequence[str] = ()) -> Finding:
    """The finding of a study.

    Args:
        groups: the rows of its table.
        comparison: of the finished groups by their label; None where their answers cannot be compared.
        missing: why not.
    """
    finished = [one for one in groups if one.finished and one.metric("f1")]
    if not finished:
        return Finding("No run has finished, so there is nothing to compare.")
    failed = _failed(groups)
    if comparison is None:
        return Finding(_by_means(finished), (*(f"{_upper(one)}." for one in missing), *_seeds(finished), *failed))
    standings = comparison.standings
    if len(standings) == 1:
        (only,) = standings
        sentence = (
            f"{only.method} reaches an F1 of {_interval(only)} on {comparison.questions:,} questions; "
            "with one method there is nothing to compare it with."
        )
        return Finding(sentence, (*_seeds(finished), *failed))
    first = [one for one in standings if one.rank == 1]
    said = _leader(comparison, first[0]) if len(first) == 1 else _tied(comparison, first, finished)
    return Finding(said[0], (*said[1:], *_seeds(finished, _runs_above(comparison, first)), *failed))


def _leader(comparison: Comparison, best: Standing) -> tuple[str, ...]:
    """Rank 1 holds one method, which need not beat all others."""
    others = [one for one in comparison.standings if one is not best]
    tied = [one.method for one in others if comparison.tied(best.method, one.method)]
    following = max(others, key=lambda one: one.f1.mean)
    gap = comparison.difference(best.method, following.method)
    if tied:
        return (
            f"No method is better than {best.method} (F1 {_interval(best)}), but it is tied with "
            f"{listed(tied)}: no difference between them can be shown on {comparison.questions:,} questions.",
        )
    than = f"than {following.method}" if len(others) == 1 else f"than each of the other {len(others)} methods"
    return (
        f"{best.method} is better {than}: F1 {_interval(best)} on {comparison.questions:,} questions.",
        f"It is {_apart(gap)} ahead of {following.method}" + (", the next." if len(others) > 1 else "."),
    )


def _tied(comparison: Comparison, first: Sequence[Standing], groups: Sequence[Group]) -> tuple[str, ...]:
    """Rank 1 holds several methods."""
    low, high = (pick(one.f1.mean for one in first) for pick in (min, max))
    everything = len(first) == len(comparison.standings)
    between = f"(F1 {low:.1f} to {high:.1f})"
    if everything:
        sentence = (
            f"No difference can be shown between {_named(first)} {between}: on {comparison.questions:,} "
            "questions all are tied."
        )
    else:
        sentence = (
            f"{_upper(_named(first))} lead {between}, and no difference between them can be shown on "
            f"{comparison.questions:,} questions."
        )
    names = [one.method for one in first]
    near = [
        one.method
        for one in comparison.standings
        if one.rank > 1 and any(comparison.tied(one.method, top) for top in names)
    ]
    also = (f"{listed(near)} {'is' if len(near) == 1 else 'are'} tied with some of them, too.",) if near else ()
    return (sentence, *also, *_cheapest(names, groups))


def _named(standings: Sequence[Standing]) -> str:
    names = [one.method for one in standings]
    return listed(names) if len(names) <= 6 else f"{len(names)} methods ({listed(names)})"


def _cheapest(tied: Sequence[str], groups: Sequence[Group]) -> tuple[str, ...]:
    """Where scores do not decide, costs may."""
    sized = [(count, one) for one in groups if one.label in tied and (count := one.parameters("trainable"))]
    if len(sized) < 2:
        return ()
    fewest, most = (end(count for count, _ in sized) for end in (min, max))
    if fewest == most:
        return ()
    least = [one for count, one in sized if count == fewest]
    share = f"{number_format.count(fewest)} ({number_format.percent(least[0].parameters('share'))} of the model)"
    each = ("trains", "") if len(least) == 1 else ("train", " each")
    return (f"Of these, {listed([one.label for one in least])} {each[0]} the fewest parameters, {share}{each[1]}.",)


def _by_means(groups: Sequence[Group]) -> str:
    scored = sorted(((one.label, f1) for one in groups if (f1 := one.metric("f1"))), key=lambda one: -one[1].mean)
    (name, best), *others = scored
    if not others:
        reached = number_format.with_spread(best)
        return f"{name} reaches an F1 of {reached}; with one method there is nothing to compare it with."
    following, next_best = others[0]
    return (
        f"By its mean F1, {name} stands first with {number_format.with_spread(best)}, before {following} with "
        f"{number_format.with_spread(next_best)}; whether that is more than chance is not known."
    )


def _seeds(groups: Sequence[Group], runs_above: str | None = None) -> tuple[str, ...]:
    """What the runs say of chance in training."""
    runs = {len(one.finished) for one in groups}
    if runs == {1}:
        every = "Each method was" if len(groups) > 1 else "It was"
        return (f"{every} trained with one seed, so how much of this depends on the seed cannot be known.",)
    if 1 in runs:
        once = [one.label for one in groups if len(one.finished) == 1]
        return (f"{listed(once)} {'has' if len(once) == 1 else 'have'} one run only: how much depends on the seed "
                "cannot be known there.",)  # fmt: skip
    return (runs_above,) if runs_above else ()


def _runs_above(comparison: Comparison, first: Sequence[Standing]) -> str | None:
    """Of a single leader and the next: in how many pairs of runs it is ahead. A pair names the leader first."""
    if len(first) > 1:
        return None
    following = max((one for one in comparison.standings if one is not first[0]), key=lambda one: one.f1.mean)
    pair = comparison.difference(first[0].method, following.method)
    of = f"{pair.runs_above} of {pair.run_pairs} pairs of runs (one of each)"
    return f"In {of} its run is ahead of {following.method}'s."


def _failed(groups: Sequence[Group]) -> tuple[str, ...]:
    without = sum(len(one.runs) - len(one.finished) for one in groups)
    return (f"{without} run{'s' if without > 1 else ''} did not finish.",) if without else ()


def _interval(one: Standing) -> str:
    low, high = one.f1.interval
    return f"{one.f1.mean:.1f} (95% interval {low:.1f} to {high:.1f})"


def _apart(gap: Difference) -> str:
    """Of a leader and another method: the pair names the leader first, whose mean is the higher one."""
    low, high = gap.interval
    return f"{gap.points:.1f} points ({low:.1f} to {high:.1f}, {p_shown(gap.p_holm)} after Holm's correction)"


def p_shown(p: float) -> str:
    """`p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
