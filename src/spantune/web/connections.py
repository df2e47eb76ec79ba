"""Bounds on the connections of the server: by address, by number, and by the time that a whole request takes.

Waitress reads every connection in one thread and answers whole requests in others. A client that sends a byte a second,
or reads one, costs no thread but a connection, and nothing in waitress ends it. Here a connection has a deadline for
each whole request and each whole answer, and where there are too many the one that kept the server waiting for longest
makes room for the newcomer: a client that sends its request at once is served, also beside hundreds that do not. Health
checks have threads of their own.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import Error

from spantune.web.limits import client_of

HEALTH = "/healthz"
PER_ADDRESS = 100
"""Connections of one address that may wait for the client: idle ones, and those in the middle of a request."""
SECONDS = 20.0
"""For a whole request, or to take a whole answer; more for each byte that comes or goes (`BYTES_A_SECOND`)."""
BYTES_A_SECOND = 20_000
LONGEST = 600.0
"""Seconds for the largest request."""
IDLE_SECONDS = 60.0
"""Between an answer and the next request on the same connection."""
_YOUNG = 1.0
"""Seconds in which a connection makes no room, unless all are that young: its request may not have been read yet."""
_OWN_FILES = 100
"""File handles that are not for connections."""
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BusyError(Error):  # type: ignore[misc]
    """The answer to a request that no thread is free for."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """As waitress makes its own errors, with Retry-After."""
        status, headers, body = super().to_response(ident)
        return status, [*headers, ("Retry-After", "1")], body


@dataclass(frozen=True)
class ConnectionBounds:
    """How many connections there may be.

    Attributes:
        total: of all addresses. proxy: an address that is counted in `total` alone, since many clients share it.
        per_address, seconds, idle_seconds: see the constants of the same names.
    """

    total: int
    proxy: str | None = None
    per_address: int = PER_ADDRESS
    seconds: float = SECONDS
    idle_seconds: float = IDLE_SECONDS

    def make_room(self, newcomer: BoundedChannel) -> None:
        """Close a connection that waits for its client where there are too many; the newcomer where none waits."""
        channels: Iterable[BoundedChannel] = newcomer.server.active_channels.values()
        waiting = [channel for channel in channels if channel is not newcomer and not channel.requests]
        alike = [channel for channel in waiting if channel.client == newcomer.client]
        if len(alike) >= self.per_address and self.proxy not in ("*", newcomer.addr[0]):
            max(alike, key=BoundedChannel.patience_spent).give_up()
        elif len(newcomer.server.active_channels) > self.total:
            clients = Counter(channel.client for channel in waiting)
            crowd = [channel for channel in waiting if channel.client == clients.most_common(1)[0][0]]
            max(crowd, key=BoundedChannel.patience_spent, default=newcomer).give_up()


class BoundedChannel(HTTPChannel):  # type: ignore[misc]
    """A connection with a deadline. All but `service` and `send` runs in the thread that reads.

    Attributes:
        client: what shares a bound: an IPv4 address, or the network of an IPv6 address.
        waits_since: when the server began to wait for the client. moved: bytes that came or went since then.
        idle: whether nothing came since the last request.
    """

    def __init__(self, bounds: ConnectionBounds, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self.bounds, self.client = bounds, client_of(addr[0])
        self.waits_since, self.moved, self.idle = time.monotonic(), 0, False
        super().__init__(server, sock, addr, adj, map=map)
        bounds.make_room(self)

    def readable(self) -> bool:
        """As in waitress; closes the connection at its deadline."""
        if self.requests:  # the client waits for the server
            self.waits_since, self.moved = time.monotonic(), 0
        elif time.monotonic() > self.waits_since + self._allowed():
            self.give_up()
            return False
        return bool(super().readable())

    def received(self, data: bytes) -> bool:
        """As in waitress."""
        if self.idle:
            self.waits_since, self.moved, self.idle = time.monotonic(), 0, False
        self.moved += len(data)
        return bool(super().received(data))

    def service(self) -> None:
        """As in waitress; a client that sends its next request before the answer gets no answer to it.

        Otherwise a hundred requests in one packet would be a hundred before those of others.
        """
        if len(self.requests) > 1:
            self.requests[0].headers["CONNECTION"] = "close"
        super().service()

    def send(self, data: bytes, do_close: bool = True) -> int:
        """As in waitress; also called by the threads that answer."""
        sent = int(super().send(data, do_close))
        self.moved += sent
        return sent

    def request_is_whole(self) -> None:
        """From here on the server is waited for."""
        self.waits_since, self.moved, self.idle = time.monotonic(), 0, True

    def give_up(self) -> None:
        """Close the connection at once, however much the client has left to read."""
        if self.request is not None:
            with suppress(OSError):
                super().send(_TIMEOUT, False)
        self.handle_close()

    def patience_spent(self) -> tuple[bool, bool, float]:
        """The larger, the sooner it makes room: those that never asked or ask slowly, then idle ones, then young."""
        seconds = time.monotonic() - self.waits_since
        return seconds > _YOUNG, not self.idle, seconds

    def _allowed(self) -> float:
        if self.idle and not self.total_outbufs_len:
            return self.bounds.idle_seconds
        return min(self.bounds.seconds + self.moved / BYTES_A_SECOND, LONGEST)


def most_connections(wanted: int) -> int:
    """As many as wanted, or as the limit of open files allows: an answer may need a file besides its connection."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, (soft - _OWN_FILES) // 2))


class RequestDispatcher:
    """Hands whole requests to threads: health checks to their own, others to the rest, or refuses them (503).

    Args:
        health: its threads, which also send the refusals. threads: for all other requests; as many more may wait.
    """

    def __init__(self, health: ThreadedTaskDispatcher, threads: int) -> None:
        self.health, self.others, self.waiting = health, ThreadedTaskDispatcher(), threads
        self.others.set_thread_count(threads)

    def add_task(self, channel: BoundedChannel) -> None:
        """Called by waitress for the first request of a connection."""
        channel.request_is_whole()
        request = channel.requests[0]
        if not hasattr(request, "path"):  # it could not be parsed; waitress logs the path where the client has gone
            request.path = ""
        healthy = request.path == HEALTH
        if not healthy and len(self.others.queue) >= self.waiting and request.error is None:
            request.error = BusyError("All threads are busy; try again in a second.")
        (self.health if healthy or request.error else self.others).add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """As waitress's own."""
        stopped = [each.shutdown(cancel_pending, timeout) for each in (self.others, self.health)]
        return any(stopped)
