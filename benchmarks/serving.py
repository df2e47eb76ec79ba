"""`python -m benchmarks.serving RUN|STUDY ... [--clients 64] [--seconds 60]`: the web app under load, a real process.

It starts `spantune serve`, lets clients ask one question after the other, each waiting for its answer, asks more than
the queue holds, and stops the server by SIGTERM while questions run. Prints a table, and the same as JSON with --json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_TYPE = {"Content-Type": "application/json"}
_LOADING_SECONDS = 120.0
_OVERLOAD = 200
"""Clients at once where more is asked than the queue holds."""


@dataclass
class Load:
    """What clients met: seconds by status of the answer (0: no answer)."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, status: int, seconds: float) -> None:
        with self.lock:
            self.seconds.setdefault(status, []).append(seconds)

    @property
    def counts(self) -> dict[int, int]:
        return dict(sorted(Counter({status: len(times) for status, times in self.seconds.items()}).items()))

    def percentile(self, share: float, status: int = 200) -> float | None:
        """In milliseconds; None without such an answer."""
        times = self.seconds.get(status)
        return round(1000 * float(np.percentile(times, share)), 1) if times else None


@dataclass(frozen=True)
class Report:
    """Milliseconds, seconds and MiB. Counts are by status of HTTP; 0 is no answer at all."""

    models: int
    listening_seconds: float
    ready_seconds: float
    clients: int
    seconds: float
    counts: dict[int, int]
    questions_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    memory_mib: list[float]
    overload_clients: int
    overload_counts: dict[int, int]
    refused_p95_ms: float | None
    too_large_ms: float
    stopped_counts: dict[int, int]
    stop_seconds: float
    exit_code: int


class Server:
    """`spantune serve` on a free port."""

    def __init__(self, folders: Sequence[str], more: Sequence[str]) -> None:
        words = [sys.executable, "-m", "spantune", "serve", *folders, "--port", "0", *more]
        self.began = time.perf_counter()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.port, self.listening = 0, 0.0
        try:
            self._start()
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        for line in self.lines():
            if found := re.search(r"listening on http://\S+:(\d+)", line):
                self.port, self.listening = int(found[1]), time.perf_counter() - self.began
                break
        else:
            raise SystemExit("the server did not start")
        while self.get("/readyz") != 200:
            if self.process.poll() is not None or time.perf_counter() - self.began > _LOADING_SECONDS:
                raise SystemExit("the models were not loaded")
            time.sleep(0.05)
        self.ready = time.perf_counter() - self.began

    def end(self) -> None:
        """At once, where it still runs."""
        self.process.kill()
        self.process.wait()

    def lines(self) -> Iterator[str]:
        assert self.process.stdout is not None
        return iter(self.process.stdout)

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def memory(self) -> float:
        """Resident, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status")
        found = re.search(r"VmRSS:\s+(\d+)", status.read_text(encoding="utf-8")) if status.exists() else None
        return round(int(found[1]) / 1024, 1) if found else 0.0


def bodies() -> list[bytes]:
    """Questions of the sample's validation set, one a request."""
    from spantune.data import load_corpus

    examples = load_corpus("sample", split="validation").examples
    asked = ([{"question": one.question, "context": one.context}] for one in examples)
    return [json.dumps({"questions": one}).encode() for one in asked]


@contextmanager
def clients(server: Server, count: int, load: Load, questions: Sequence[bytes]) -> Iterator[None]:
    """So many of them ask, each on its own connection, until the block ends; then each waits for its last answer."""
    end = threading.Event()
    threads = [
        threading.Thread(target=_client, args=(server.port, number, load, questions, end.is_set))
        for number in range(count)
    ]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        end.set()
        for one in threads:
            one.join()


def _client(port: int, number: int, load: Load, questions: Sequence[bytes], ended: Callable[[], bool]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    at = 7 * number
    while not ended():
        began = time.perf_counter()
        try:
            connection.request("POST", "/api/answer", questions[at % len(questions)], _TYPE)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            status = 0
        load.add(status, time.perf_counter() - began)
        at += 1
        if status != 200 and not ended():
            time.sleep(0.25)  # a client that is sent away comes back, and not at once
    connection.close()


def measure(folders: Sequence[str], count: int, seconds: float, more: Sequence[str]) -> Report:
    """Start, load, overload and stop a server."""
    questions = bodies()
    server = Server(folders, more)
    try:
        models = len(_models(server.port))
        with clients(server, min(count, 8), Load(), questions):  # kernels are chosen, threads and buffers made
            time.sleep(min(5.0, seconds / 4))
        memory, load = [server.memory()], Load()
        with clients(server, count, load, questions):
            for _ in range(4):
                time.sleep(seconds / 4)
                memory.append(server.memory())
        took = time.perf_counter() - load.began
        over = Load()
        with clients(server, _OVERLOAD, over, questions):
            time.sleep(min(5.0, seconds / 4))
        too_large = _too_large(server.port)
        stopped = Load()
        with clients(server, 8, stopped, questions):
            time.sleep(1)
            server.process.send_signal(signal.SIGTERM)
            began = time.perf_counter()
            time.sleep(0.2)
        exit_code = server.process.wait(120)
        stop_seconds = time.perf_counter() - began
    finally:
        server.end()
    return Report(
        models=models,
        listening_seconds=round(server.listening, 2),
        ready_seconds=round(server.ready, 2),
        clients=count,
        seconds=seconds,
        counts=load.counts,
        questions_per_second=round(load.counts.get(200, 0) / took, 1),
        p50_ms=load.percentile(50),
        p95_ms=load.percentile(95),
        max_ms=load.percentile(100),
        memory_mib=memory,
        overload_clients=_OVERLOAD,
        overload_counts=over.counts,
        refused_p95_ms=over.percentile(95, 503),
        too_large_ms=too_large,
        stopped_counts=stopped.counts,
        stop_seconds=round(stop_seconds, 2),
        exit_code=exit_code,
    )


def _models(port: int) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/api/methods")
    found: list[Any] = json.loads(connection.getresponse().read())["models"]
    connection.close()
    return found


def _too_large(port: int) -> float:
    """Milliseconds until 413 for a body of 8 MB."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    connection.request("POST", "/api/answer", b" " * 8_000_000, _TYPE)
    status = connection.getresponse().status
    connection.close()
    if status != 413:
        raise SystemExit(f"a body of 8 MB: {status} instead of 413")
    return round(1000 * (time.perf_counter() - began), 1)


def main(arguments: Sequence[str]) -> int:
    """Prints what was measured; 1 where a client of the load met an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="RUN|STUDY")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    words = list(arguments)
    own, more = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    given = parser.parse_args(own)
    report = measure(given.folders, given.clients, given.seconds, more)
    if given.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        width = max(map(len, asdict(report)))
        print("\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in asdict(report).items()))
    return 0 if set(report.counts) == {200} and report.exit_code == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
