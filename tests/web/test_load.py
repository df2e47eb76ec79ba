"""The server under hostile load: honest clients beside it are answered or refused in time, and nothing grows."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import psutil
import pytest
from made_panel import of
from made_server import BODY, Running, until

from spantune.web import server
from spantune.web.connections import ConnectionBounds

pytestmark = pytest.mark.skipif(os.name == "nt", reason="counts handles as POSIX has them")
HEAD = "Host: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
NESTED = "[" * 100_000
HOSTILE = {
    "slow head": b"GET / HTTP/1.1\r\n",
    "slow body": f"POST /api/answer HTTP/1.1\r\n{HEAD}Content-Length: 1000\r\n\r\n".encode(),
    "nothing at all": b"",
    "half a line": b"POST /api/an",
    "no HTTP": bytes(range(256)) * 8 + b"\r\n\r\n",
    "far too large": f"POST /documents HTTP/1.1\r\n{HEAD}Content-Length: {10**12}\r\n\r\n".encode(),
    "a length that is none": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n".encode(),
    "two lengths": f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 1\r\n{CHUNKED}\r\n0\r\n\r\n".encode(),
    "a chunk without end": f"POST / HTTP/1.1\r\n{HEAD}{CHUNKED}\r\nFFFFFFFFFFFFFFFF\r\n".encode(),
    "long head": b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
    "many heads": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: x\r\n" % at for at in range(5_000)) + b"\r\n",
    "deep JSON": f"POST /api/answer HTTP/1.1\r\n{HEAD}Content-Length: {len(NESTED)}\r\n\r\n{NESTED}".encode(),
    "NUL in a path": f"GET /explore/%00/files/%00 HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "a path upwards": f"GET /static/..%2f..%2f..%2fetc/passwd HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "an escape in a path": f"GET /%1b%5b2J%0aERROR HTTP/1.1\r\n{HEAD}\r\n".encode(),
    "a wrong token": f"GET /documents HTTP/1.1\r\n{HEAD}Authorization: Bearer wrong\r\n\r\n".encode(),
    "many at once": f"GET /api HTTP/1.1\r\n{HEAD}\r\n".encode() * 50,
}
"""What is sent; none of these clients reads more than a little, and half of them do not say that they leave."""
IN_TIME = 20.0
"""Seconds for an honest client, on a machine that does other things as well; p95 is far below."""


@dataclass
class Load:
    """What happened."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    hostile: Counter[str] = field(default_factory=Counter)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def worst(self) -> tuple[float, float]:
        """p95 and the longest wait of an honest client."""
        ordered = sorted(self.seconds)
        return ordered[int(0.95 * (len(ordered) - 1))], ordered[-1]


def attack(port: int, seed: int, end: Callable[[], bool], load: Load) -> None:
    """Open hostile connections, keep twenty of them half open, and drip into those."""
    chance, held = random.Random(seed), []
    while not end():
        name, sent = chance.choice(list(HOSTILE.items()))
        with suppress(OSError):
            made = socket.create_connection(("127.0.0.1", port), timeout=5)
            held.append(made)
            made.settimeout(0.5)
            made.sendall(sent)
            if chance.random() < 0.3:
                made.recv(10)
        load.hostile[name] += 1
        for other in held:
            with suppress(OSError):
                other.send(b"x")
        if len(held) > 20:
            leaving = held.pop(chance.randrange(len(held)))
            if chance.random() < 0.5:  # with a reset instead of a farewell
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            leaving.close()
        time.sleep(0.01)
    for other in held:
        other.close()


def honest(served: Running, number: int, end: Callable[[], bool], load: Load) -> None:
    """Ask, and look at a page and at its health, one after the other."""
    while not end():
        for method, path, body in (("POST", "/api/answer", BODY), ("GET", "/", None), ("GET", "/healthz", None)):
            began = time.monotonic()
            status, headers, content = served.request(method, path, body)
            seconds = time.monotonic() - began
            load.statuses[status] += 1
            load.seconds.append(seconds)
            if path == "/healthz":
                load.health.append(seconds)
                assert status == 200
            assert status == 200 or (status == 503 and int(headers["Retry-After"]) >= 1), (path, status, content)
            if status == 200 and path == "/api/answer":
                assert json.loads(content)["answers"][0]["models"]["numbers"]["answer"] == "1832"
        time.sleep(0.01)


def loaded(served: Running, seconds: float, clients: int, attackers: int, requests: int = 0) -> Load:
    """Load a server for some seconds, and until so many hostile requests were sent."""
    load, began = Load(), time.monotonic()
    process = psutil.Process()

    def end() -> bool:
        return time.monotonic() - began > seconds and load.hostile.total() >= requests

    def measure() -> None:
        while not end():
            load.files.append(process.num_fds())
            load.threads.append(process.num_threads())
            load.memory.append(process.memory_info().rss)
            time.sleep(min(5.0, seconds / 8))

    with ThreadPoolExecutor(clients + attackers + 1) as pool:
        running = [pool.submit(honest, served, at, end, load) for at in range(clients)]
        running += [pool.submit(attack, served.port, at, end, load) for at in range(attackers)]
        pool.submit(measure)
        for each in running:
            each.result(seconds + 120)
    return load


def check(served: Running, load: Load, before: tuple[int, int]) -> None:
    """Honest clients are served in time, and the server is as it was."""
    assert load.worst()[1] < IN_TIME and max(load.health) < IN_TIME, load.worst()
    assert load.worst()[0] < IN_TIME / 2, load.worst()
    assert load.statuses[200] > 0.5 * load.statuses.total() > 0, load.statuses
    assert set(load.hostile) == set(HOSTILE)
    process = psutil.Process()
    until(lambda: process.num_fds() <= before[0] + 8 and threading.active_count() <= before[1] + 8)
    assert of(served.app).answerer.ready and served.ask()[0] == 200


def handles() -> tuple[int, int]:
    return psutil.Process().num_fds(), threading.active_count()


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Running]) -> Running:
    """A server with fewer connections than the attackers hold, and less patience."""
    bounds = partial(ConnectionBounds, per_address=60, seconds=2.0)
    monkeypatch.setattr(server, "ConnectionBounds", bounds)
    return run()


def test_honest_clients_beside_hostile_ones(bounded: Running) -> None:
    bounded.ask()
    before = handles()
    load = loaded(bounded, seconds=4, clients=16, attackers=8)
    check(bounded, load, before)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_minutes_of_hostile_requests_beside_64_clients(run: Callable[..., Running]) -> None:
    served = run()
    served.ask()
    before = handles()
    load = loaded(served, seconds=300, clients=64, attackers=16, requests=10_000)
    check(served, load, before)
    half = len(load.memory) // 2
    assert max(load.memory[half:]) < 1.1 * max(load.memory[:half]) + 20e6, load.memory
    assert max(load.files[half:]) <= max(load.files[:half]) + 40 and max(load.threads[half:]) <= max(
        load.threads[:half]
    )
    print(
        f"{load.hostile.total()} hostile, {load.statuses} honest, p95 and longest {load.worst()}, "
        f"health {max(load.health):.2f} s, memory {load.memory[0] >> 20} to {load.memory[-1] >> 20} MiB, "
        f"files {max(load.files)}, threads {max(load.threads)}"
    )
