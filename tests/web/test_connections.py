"""Slow, half-open and greedy connections: the server closes them, and answers everybody else."""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from made_server import BODY, Running, until

from spantune.web import connections, server
from spantune.web.connections import ConnectionBounds, most_connections

SECONDS = 20
"""For an honest client, on a machine that does other things as well."""


class Dripping:
    """Connections that send a byte every quarter of a second, opened again where the server closes them."""

    def __init__(self, port: int, count: int) -> None:
        self._port, self.opened, self._ended = port, 0, threading.Event()
        self.open = [self._connect() for _ in range(count)]
        self._thread = threading.Thread(target=self._drip)

    def _connect(self) -> socket.socket:
        self.opened += 1
        # The listening queue is full for a moment where hundreds come at once.
        made = socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS)
        made.setblocking(False)
        return made

    def _drip(self) -> None:
        text = f"POST /api/answer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nX: {'x' * 1000}".encode()
        for at in range(len(text)):
            for number, connection in enumerate(self.open):
                if self._ended.is_set():
                    return
                try:
                    connection.send(text[at : at + 1])
                except OSError:
                    connection.close()
                    with suppress(OSError):
                        self.open[number] = self._connect()
            self._ended.wait(0.25)

    def __enter__(self) -> Dripping:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for connection in self.open:
            connection.close()


def timed(ask: Callable[[], tuple[int, Any, bytes]]) -> tuple[int, float]:
    began = time.monotonic()
    return ask()[0], time.monotonic() - began


def test_hundreds_that_send_a_byte_a_second_stop_nobody(run: Callable[..., Running]) -> None:
    served = run(waiting=16)  # 264 connections at most
    with Dripping(served.port, 400) as slow, ThreadPoolExecutor(16) as pool:
        health = [timed(partial(served.request, "GET", "/healthz")) for _ in range(3)]
        honest = list(pool.map(lambda _: timed(served.ask), range(48)))
        assert len(slow.open) == 400
    assert {status for status, _ in health} == {200} and max(seconds for _, seconds in health) < SECONDS
    assert {status for status, _ in honest} <= {200, 503} and max(seconds for _, seconds in honest) < SECONDS
    assert [status for status, _ in honest].count(200) > 16


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Running]) -> Running:
    """A server that waits half a second for a request, and one between two of them."""
    monkeypatch.setattr(server, "ConnectionBounds", partial(ConnectionBounds, seconds=0.5, idle_seconds=1.0))
    return run()


@pytest.fixture
def connect(hasty: Running) -> Iterator[Callable[[], socket.socket]]:
    made: list[socket.socket] = []

    def connected() -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", hasty.port), timeout=SECONDS))
        return made[-1]

    yield connected
    for connection in made:
        connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", f"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{'x' * 8}".encode()])
def test_half_a_request_ends(connect: Callable[[], socket.socket], sent: bytes) -> None:
    connection = connect()
    connection.sendall(sent)
    answered = connection.recv(1000)
    assert answered.startswith(b"HTTP/1.1 408") if sent else answered == b""


def test_a_drip_ends_however_long_it_lasts(connect: Callable[[], socket.socket]) -> None:
    connection, end = connect(), time.monotonic() + SECONDS
    while not select.select([connection], [], [], 0.1)[0]:  # readable: it was closed
        assert time.monotonic() < end
        with suppress(OSError):
            connection.send(b"\n" if time.monotonic() < end - 18 else b"G")


def test_a_client_that_does_not_read_ends(
    hasty: Running, connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(hasty.app.view_functions, "ask.any_example", lambda: "w" * 30_000_000)
    connection = connect()
    connection.sendall(b"GET /random HTTP/1.1\r\nHost: localhost\r\n\r\n")
    monkeypatch.setattr(connections, "BYTES_A_SECOND", 10**9)
    time.sleep(3)
    read = 0
    with suppress(OSError):
        while data := connection.recv(1_000_000):
            read += len(data)
    assert read < 29_000_000, "what the system's buffers held"


def test_a_connection_is_used_again_until_it_is_idle(hasty: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hasty.port, timeout=SECONDS)
    for _ in range(4):
        connection.request("POST", "/api/answer", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
        time.sleep(0.6)  # longer than half a request may take
    assert connection.sock is not None and connection.sock.recv(1) == b"", "closed after a second"
    connection.close()


def test_health_has_threads_of_its_own_and_what_finds_none_is_refused(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, entered, gate = run(waiting=1, batch=1), threading.Semaphore(0), threading.Event()

    def stuck() -> str:
        entered.release()
        assert gate.wait(60)
        return "done"

    monkeypatch.setitem(served.app.view_functions, "ask.any_example", stuck)
    threads = 18
    with ThreadPoolExecutor(2 * threads) as pool:
        try:
            asked = [pool.submit(served.request, "GET", "/random") for _ in range(2 * threads)]
            for _ in range(threads):
                assert entered.acquire(timeout=SECONDS)
            until(lambda: _refused(served) is not None)
            status, seconds = timed(partial(served.request, "GET", "/healthz"))
            assert status == 200 and seconds < SECONDS
        finally:
            gate.set()
        assert sorted(done.result(SECONDS)[0] for done in asked)[:threads] == [200] * threads


def _refused(served: Running) -> str | None:
    """Retry-After, where the server refuses; None where the request waits."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=0.5)
    try:
        connection.request("GET", "/sign-in")
        answer = connection.getresponse()
        assert answer.status == 503
        return answer.headers["Retry-After"]
    except TimeoutError:
        return None
    finally:
        connection.close()


def test_a_hundred_requests_in_one_packet_are_not_all_answered(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, asked = run(), []
    monkeypatch.setitem(served.app.view_functions, "ask.any_example", lambda: asked.append(1) or "done")
    with socket.create_connection(("127.0.0.1", served.port), timeout=SECONDS) as connection:
        connection.sendall(b"GET /random HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        answered = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(100_000):
                answered += data
    assert b"Connection: close" in answered and 1 <= answered.count(b"HTTP/1.1 200") <= len(asked) < 10


class Channels(list[Any]):
    """The `active_channels` of a server."""

    def values(self) -> list[Any]:
        return self


class FakeChannel(SimpleNamespace):
    """What `make_room` knows of a connection."""

    def give_up(self) -> None:
        self.server.active_channels.remove(self)


def room(bounds: ConnectionBounds, addresses: str) -> str:
    """The places of who is left after these have come one by one; those in capitals are being answered."""
    held = SimpleNamespace(active_channels=Channels())
    for at, address in enumerate(addresses):
        client, requests = address.lower(), [at] if address.isupper() else []
        new = FakeChannel(server=held, client=client, addr=(client, 1), requests=requests, at=at)
        held.active_channels.append(new)
        bounds.make_room(new)  # type: ignore[arg-type]
    return " ".join(str(channel.at) for channel in held.active_channels)


def test_who_waited_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.BoundedChannel, "patience_spent", lambda channel: -channel.at)
    bounds = ConnectionBounds(total=5, per_address=2)
    assert room(bounds, "aaa") == "1 2", "of its own address"
    assert room(bounds, "bbaabb") == "2 3 4 5"
    assert room(bounds, "AAAAa") == "0 1 2 3 4", "what is answered does not count"
    assert room(bounds, "AAAAAa") == "0 1 2 3 4", "nobody waits but the newcomer"
    assert room(bounds, "cbbAAa") == "0 2 3 4 5", "the address with most of them"
    shared = ConnectionBounds(total=5, per_address=2, proxy="p")
    assert room(shared, "ppppp") == "0 1 2 3 4", "many clients share a proxy"
    assert room(shared, "pppppp") == "1 2 3 4 5"


def test_no_more_connections_than_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert most_connections(456) == 78 and most_connections(50) == 50
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert most_connections(456) == 456
