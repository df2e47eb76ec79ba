"""How much a request may hold, and how much one client may ask: one bucket of tokens per address, refilled evenly."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from spantune.config import LimitsConfig

_MOST_CLIENTS = 10_000
_LEAST_FORM, _OTHER_FIELDS = 1_000_000, 100_000
API_BYTES = 4_000_000
"""Largest body of a request to the API."""
MOST_ANSWERS = 100
"""Most true answers of a question: each is searched for in the context and scored against every answer."""
MOST_N_BEST = 20
"""Most candidates of an answer."""
MOST_GUESSES = 30
"""Wrong tokens of one client in a minute."""
LONGEST_LINK = 6_000
"""Characters of an address that browsers and most proxies accept; a form sends what is longer."""


def whole(text: str | None) -> int | None:
    """A whole number of at most nine digits from an address or a form; None for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def line_feeds(text: str) -> str:
    """A text with LF at the ends of its lines, since a form changes others."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def pages_of(count: int, per_page: int, asked: str | None) -> dict[str, int]:
    """For a list in pages: the requested `page`, the number of `pages`, and the page's `first` entry, from 1."""
    pages = max(1, math.ceil(count / per_page))
    page = min(whole(asked) or 1, pages)
    return {"page": page, "pages": pages, "first": (page - 1) * per_page + 1}


def form_bytes(limits: LimitsConfig) -> int:
    """Largest form without a file; a character takes up to twelve bytes (four, each as `%F0`)."""
    return max(_LEAST_FORM, 12 * limits.max_context + _OTHER_FIELDS)


def upload_bytes(limits: LimitsConfig) -> int:
    """Largest form with a file and the text of the last one."""
    return round(limits.max_upload_mb * 1e6) + 4 * limits.max_document + _OTHER_FIELDS


def body_bytes(limits: LimitsConfig) -> int:
    """Largest body of any request."""
    return max(form_bytes(limits), upload_bytes(limits), API_BYTES)


def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 address, which one machine may own."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return address
    return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))


class Buckets:
    """A minute's worth of questions for each client, refilled evenly. Safe to use from several threads.

    Args:
        per_minute: questions; 0 for any number. clock: seconds, for tests.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # the latest client comes last
        self._lock = threading.Lock()

    def take(self, client: str, questions: int = 1) -> int:
        """Take some out and return 0; or take none and return the seconds until there are enough.

        A full bucket gives more than it holds, so that a large request is not refused for ever.
        """
        if not self.per_minute:
            return 0
        with self._lock:
            now, rate = self._clock(), self.per_minute / 60
            left, at = self._left.pop(client, (float(self.per_minute), now))
            left = min(float(self.per_minute), left + (now - at) * rate)
            wanted = min(questions, self.per_minute)
            short = wanted - left
            self._left[client] = (left if short > 0 else left - questions, now)
            while len(self._left) > _MOST_CLIENTS:
                self._left.popitem(last=False)
        return max(1, math.ceil(short / rate)) if short > 0 else 0

    def put_back(self, client: str, questions: int = 1) -> None:
        """As if some had not been taken."""
        with self._lock:
            if client in self._left:
                left, at = self._left[client]
                self._left[client] = (left + questions, at)
