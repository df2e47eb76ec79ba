"""A sentence on what a comparison shows, as far as its statistics allow, and a few more on what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spantune.reports.run_groups import Group
from spantune.reports.tables import number_format
from spantune.scoring.statistics import Comparison, Standing


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
        comparison: of the finished groups by their label; None if their answers cannot be compared.
        missing: why not.
    """
    finished = [group for group in groups if group.finished and group.metric("f1")]
    if not finished:
        return Finding("No run has finished, so there is nothing to compare.")
    without = sum(len(group.runs) - len(group.finished) for group in groups)
    failed = (f"{without} run{'s' if without > 1 else ''} did not finish.",) if without else ()
    if comparison is None:
        return Finding(_by_means(finished), (*(f"{_upper(reason)}." for reason in missing), *_seeds(finished), *failed))
    standings = comparison.standings
    if len(standings) == 1:
        (only,) = standings
        sentence = (
            f"{only.method} reaches an F1 of {_interval(only)} on {comparison.questions:,} questions; "
            "with one method there is nothing to compare it with."
        )
        return Finding(sentence, (*_seeds(finished), *failed))
    first = [standing for standing in standings if standing.rank == 1]
    if len(first) > 1:
        (sentence, *more), runs_above = _tied(comparison, first, finished), None
    else:
        (sentence, *more), runs_above = _leader(comparison, first[0])
    return Finding(sentence, (*more, *_seeds(finished, runs_above), *failed))


def _leader(comparison: Comparison, best: Standing) -> tuple[tuple[str, ...], str]:
    """Rank 1 holds one method, which need not beat all others. Also: in how many pairs of runs it is ahead of the next.

    A difference names the leader first, whose mean is the higher one.
    """
    others = [standing for standing in comparison.standings if standing is not best]
    tied = [standing.method for standing in others if comparison.tied(best.method, standing.method)]
    following = max(others, key=lambda standing: standing.f1.mean).method
    gap = comparison.difference(best.method, following)
    of = f"{gap.runs_above} of {gap.run_pairs} pairs of runs (one of each)"
    runs_above = f"In {of} its run is ahead of {following}'s."
    if tied:
        sentence = (
            f"No method is better than {best.method} (F1 {_interval(best)}), but it is tied with "
            f"{listed(tied)}: no difference between them can be shown on {comparison.questions:,} questions."
        )
        return (sentence,), runs_above
    low, high = gap.interval
    apart = f"{gap.points:.1f} points ({low:.1f} to {high:.1f}, {p_shown(gap.p_holm)} after Holm's correction)"
    than, end = (following, ".") if len(others) == 1 else (f"each of the other {len(others)} methods", ", the next.")
    sentence = f"{best.method} is better than {than}: F1 {_interval(best)} on {comparison.questions:,} questions."
    return (sentence, f"It is {apart} ahead of {following}{end}"), runs_above


def _tied(comparison: Comparison, first: Sequence[Standing], groups: Sequence[Group]) -> tuple[str, ...]:
    """Rank 1 holds several methods."""
    low, high = (pick(standing.f1.mean for standing in first) for pick in (min, max))
    between, on = f"(F1 {low:.1f} to {high:.1f})", f"on {comparison.questions:,} questions"
    names = [standing.method for standing in first]
    named = listed(names) if len(names) <= 6 else f"{len(names)} methods ({listed(names)})"
    sentence = f"{_upper(named)} lead {between}, and no difference between them can be shown {on}."
    if len(first) == len(comparison.standings):
        sentence = f"No difference can be shown between {named} {between}: {on} all are tied."
    near = [
        standing.method
        for standing in comparison.standings
        if standing.rank > 1 and any(comparison.tied(standing.method, top) for top in names)
    ]
    also = (f"{listed(near)} {'is' if len(near) == 1 else 'are'} tied with some of them, too.",) if near else ()
    return (sentence, *also, *_cheapest(names, groups))


def _cheapest(tied: Sequence[str], groups: Sequence[Group]) -> tuple[str, ...]:
    """Where scores do not decide, costs may."""
    sized = [(count, group) for group in groups if group.label in tied and (count := group.parameters("trainable"))]
    if len({count for count, _ in sized}) < 2:
        return ()
    fewest = min(count for count, _ in sized)
    least = [group for count, group in sized if count == fewest]
    share = f"{number_format.count(fewest)} ({number_format.percent(least[0].parameters('share'))} of the model)"
    each = ("trains", "") if len(least) == 1 else ("train", " each")
    return (f"Of these, {listed([group.label for group in least])} {each[0]} the fewest parameters, {share}{each[1]}.",)


def _by_means(groups: Sequence[Group]) -> str:
    scored = [(group.label, f1) for group in groups if (f1 := group.metric("f1"))]
    scored.sort(key=lambda pair: -pair[1].mean)
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
    runs = {len(group.finished) for group in groups}
    if runs == {1}:
        every = "Each method was" if len(groups) > 1 else "It was"
        return (f"{every} trained with one seed, so how much of this depends on the seed cannot be known.",)
    if 1 in runs:
        once = [group.label for group in groups if len(group.finished) == 1]
        who = f"{listed(once)} {'has' if len(once) == 1 else 'have'} one run only"
        return (f"{who}: how much depends on the seed cannot be known there.",)
    return (runs_above,) if runs_above else ()


def _interval(standing: Standing) -> str:
    low, high = standing.f1.interval
    return f"{standing.f1.mean:.1f} (95% interval {low:.1f} to {high:.1f})"


def p_shown(p: float) -> str:
    """`p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
