"""From resampled differences to p-values that hold for all pairs together, and to groups of tied methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_lowercase

import numpy as np

ALPHA = 0.05
_ROUNDING = 1e-12  # a resampled difference that equals the observed one except for rounding counts as equal


def p_value(observed: float, resampled: np.ndarray) -> float:
    """Two-sided p-value of a difference: how often resampling alone moves it by as much as it is from zero.

    The resampled differences scatter around the observed one as that scatters around the truth; moved to zero they are
    what would be seen if the methods were equal (the shift method of Berg-Kirkpatrick et al., 2012, two-sided). Not the
    share of resamples with the other sign (Koehn, 2004), which is too small where few questions differ: of six
    differing questions all won by one side, it makes 0.005, this makes 0.02, and the exact sign test 0.03.

    Args:
        observed: the difference on the questions themselves.
        resampled: (R,) the same in every resample. R resamples say nothing below 1/(R + 1), the smallest value here.
    """
    as_far = np.abs(resampled - observed) >= abs(observed) - _ROUNDING
    return float((1 + np.count_nonzero(as_far)) / (1 + len(resampled)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment: of m p-values, the k-th smallest times m - k + 1, none below the one before, at most 1.

    Those up to `ALPHA` are significant, with a chance of at most `ALPHA` that any of them is so by accident, however
    the tests depend on each other. Holm, 1979 (https://www.jstor.org/stable/4615733); for comparisons in NLP: Dror et
    al., 2018 (https://aclanthology.org/P18-1128/).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted.tolist()


def ranks(count: int, beats: Iterable[tuple[int, int]]) -> list[int]:
    """The rank of each of `count` methods: 1 if none beats it, else one below the lowest of those that beat it.

    Methods of one rank are tied with each other, and a method that beats another ranks above it. Methods of different
    ranks may be tied, too, which `letters` shows.

    Args:
        beats: pairs (better, worse) whose difference is significant; no circles, as the better has the higher mean.
    """
    pairs, ranks = list(beats), [1] * count
    for _ in range(count):  # a chain is no longer than that
        for better, worse in pairs:
            ranks[worse] = max(ranks[worse], ranks[better] + 1)
    return ranks


def letters(count: int, differing: Iterable[tuple[int, int]]) -> list[str]:
    """Compact letters: two methods share a letter if and only if they do not differ significantly.

    Each letter is a largest set of methods that are all tied with each other, lettered from the first method on. By
    insertion and absorption: Piepho, 2004 (https://doi.org/10.1198/1061860043515).

    Args:
        count: methods, in the order of the table.
        differing: pairs whose difference is significant.
    """
    sets = {frozenset(range(count))}
    for pair in map(set, differing):
        split = {part for tied in sets for part in ([tied - {method} for method in pair] if pair <= tied else [tied])}
        sets = {tied for tied in split if not any(tied < larger for larger in split)}
    of = {_letter(number): tied for number, tied in enumerate(sorted(sets, key=sorted))}
    return ["".join(name for name, tied in of.items() if method in tied) for method in range(count)]


def _letter(number: int) -> str:
    """a to z, then a1 to z1, and so on."""
    round_, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(round_) if round_ else "")
