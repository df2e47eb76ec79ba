"""Numbers and settings as people read them."""

from __future__ import annotations

from typing import Any, TypeGuard

from spantune.scoring.statistics import Estimate

NOTHING = "–"


def with_spread(value: Estimate | None, digits: int = 1) -> str:
    """`41.3`, or `41.3 ± 0.8` over several runs."""
    if value is None:
        return NOTHING
    mean = f"{value.mean:,.{digits}f}"
    return mean if value.spread is None else f"{mean} ± {value.spread:,.{digits}f}"


def mean(value: Estimate | None, form: str) -> str:
    """The mean over runs by a format such as `.3f`."""
    return NOTHING if value is None else f"{value.mean:{form}}"


def count(value: int | None) -> str:
    """`770`, `74 k`, `22.7 M`."""
    return NOTHING if value is None else _scaled(value, ("", " k", " M", " G"))


def size(value: float | None) -> str:
    """Bytes with decimal units: `742 B`, `1.2 MB`."""
    return NOTHING if value is None else _scaled(value, (" B", " kB", " MB", " GB", " TB"))


def duration(seconds: float | None) -> str:
    """`42 s`, `3.5 min`, `2.4 h`; `0 s` for a remaining time that is over."""
    if seconds is None:
        return NOTHING
    if seconds < 99.5:
        return f"{max(0.0, seconds):.0f} s"
    if (minutes := seconds / 60) < 99.5:
        return f"{minutes:.0f} min" if minutes >= 9.95 else f"{minutes:.1f} min"
    return f"{seconds / 3600:.1f} h"


def percent(share: float | None) -> str:
    """`100%`, `1.9%`, `0.34%`, `0.0034%`: two significant digits below ten per cent."""
    if share is None:
        return NOTHING
    value = 100 * share
    if value >= 9.95:
        return f"{value:.0f}%"
    digits = 1
    while digits < 6 and 0 < value < 0.995 * 10 ** (1 - digits):
        digits += 1
    return f"{value:.{digits}f}%"


def shown(value: Any) -> str:
    """A value as people write it: `0.001`, `linear`."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting(value: Any, between: str = ", ") -> str:
    """A setting's value: None is the `default`, what is empty is `none`, and several follow one another."""
    if value is None:
        return "default"
    return between.join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else shown(value)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it can be drawn on an axis: true and false are words."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _scaled(value: float, units: tuple[str, ...]) -> str:
    step = 0
    while value >= 999.5 and step < len(units) - 1:
        value, step = value / 1000, step + 1
    digits = 0 if step == 0 or value >= 99.95 else 1
    return f"{value:.{digits}f}{units[step]}"
