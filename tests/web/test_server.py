"""The app behind waitress: real sockets, many clients, and an end that leaves nobody without an answer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_panel import FakePanel, of
from made_server import BODY, Running, until

import spantune
from spantune.cli.main import main
from spantune.config import ServeConfig
from spantune.errors import ConfigError
from spantune.web.limits import API_BYTES
from spantune.web.server import listening


def test_64_clients_at_once(run: Callable[..., Running]) -> None:
    panel = FakePanel()
    server = run(panel)
    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda _: server.ask(), range(256)))
    assert {status for status, _, _ in found} == {200}
    assert {json.loads(content)["answers"][0]["models"]["numbers"]["answer"] for _, _, content in found} == {"1832"}
    assert len(panel.batches) < 256 and sum(count for count, _ in panel.batches) == 256


def test_a_full_queue_answers_at_once_and_so_does_health(run: Callable[..., Running]) -> None:
    panel = FakePanel(gate=threading.Event())
    server = run(panel, waiting=2)
    answerer = of(server.app).answerer
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(server.ask)
        assert panel.entered.wait(20)
        others = [pool.submit(server.ask) for _ in range(2)]
        until(lambda: len(answerer._queue) == 2)
        began = time.monotonic()
        status, headers, content = server.ask()
        assert status == 503 and int(headers["Retry-After"]) >= 1 and json.loads(content)["title"] == "Busy"
        assert server.request("GET", "/healthz")[0] == 200 and time.monotonic() - began < 2
        assert panel.gate is not None
        panel.gate.set()
        assert [one.result(20)[0] for one in (first, *others)] == [200] * 3


def test_who_has_gone_is_not_answered(run: Callable[..., Running]) -> None:
    panel = FakePanel(gate=threading.Event())
    server = run(panel)
    answerer = of(server.app).answerer
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(server.ask)]
        assert panel.entered.wait(20)
        for _ in range(3):  # who clicks again, and again
            client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            head = f"POST /api/answer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}"
            client.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n{BODY}".encode())
            until(lambda: len(answerer._queue) == 1)
            gone = answerer._queue[0].gone
            assert not gone()
            client.close()
            until(gone)
            answerer._drop_gone()
        asked.append(pool.submit(server.ask))
        until(lambda: len(answerer._queue) == 1)
        assert panel.gate is not None
        panel.gate.set()
        assert [one.result(20)[0] for one in asked] == [200, 200]
    assert [count for count, _ in panel.batches] == [1, 1]


def test_stopping_finishes_what_runs(run: Callable[..., Running]) -> None:
    panel = FakePanel(gate=threading.Event())
    server = run(panel)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(server.ask)]
        assert panel.entered.wait(20)
        asked += [pool.submit(server.ask) for _ in range(2)]
        until(lambda: len(of(server.app).answerer._queue) == 2)
        server.stop.set()
        until(lambda: of(server.app).answerer.state == "closed")
        with pytest.raises(OSError):
            server.ask()
        assert panel.gate is not None and server.thread.is_alive()
        panel.gate.set()
        assert [one.result(20)[0] for one in asked] == [200] * 3
    server.thread.join(20)
    assert not server.thread.is_alive()


TOO_LARGE = (
    ("/documents", "multipart/form-data; boundary=x", b"The file is too large"),
    ("/", "application/x-www-form-urlencoded", b"<h1>Request Entity Too Large"),
    ("/api/answer", "application/json", b'"status": 413'),
)


def test_a_body_that_is_too_large_is_refused_by_a_page_or_a_problem(run: Callable[..., Running]) -> None:
    server = run(max_upload_mb=0.5)
    length = API_BYTES + 1
    bodies = (
        f"Content-Length: {length}\r\n\r\n{'w' * length}",
        f"Transfer-Encoding: chunked\r\n\r\n{length:X}\r\n{'w' * length}\r\n0\r\n\r\n",
    )
    for path, kind, said in TOO_LARGE:
        for body in bodies:
            answered = send(server.port, path, kind, body)
            assert answered.startswith(b"HTTP/1.1 413") and said in answered, (path, body[:20])
    assert server.ask()[0] == 200


def test_a_body_that_is_far_too_large_never_gets_in(run: Callable[..., Running]) -> None:
    server = run(max_upload_mb=0.5)
    for path, kind, _ in TOO_LARGE:
        answered = send(server.port, path, kind, f"Content-Length: {10**9}\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 413") and b"Connection: close" in answered, path
    assert server.ask()[0] == 200


def send(port: int, path: str, kind: str, body: str) -> bytes:
    """Everything that the server answers until it closes the connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall((head + body).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_headers_of_a_proxy_are_believed_from_it_alone(run: Callable[..., Running]) -> None:
    ask = {"X-Forwarded-For": "10.1.1.1", "Host": "qa.example.org"}
    server = run(proxy="127.0.0.1", names=("qa.example.org",), questions_per_minute=1)
    assert server.request("POST", "/api/answer", BODY, **ask)[0] == 200
    assert server.request("POST", "/api/answer", BODY, **ask)[0] == 429
    assert server.request("POST", "/api/answer", BODY, **{**ask, "X-Forwarded-For": "10.1.1.2"})[0] == 200
    server = run(questions_per_minute=1)
    for number, status in enumerate((200, 429)):
        assert server.request("POST", "/api/answer", BODY, **{"X-Forwarded-For": f"10.1.1.{number}"})[0] == status


@pytest.mark.parametrize("given", [None, "sixteen letters!"])
def test_a_token_is_said_where_nobody_knows_it_yet(run: Callable[..., Running], given: str | None) -> None:
    server = run(proxy="127.0.0.1", token=given)
    token = of(server.app).token
    until(lambda: any("/sign-in" in line for line in server.said))
    assert token is not None and any(token in line for line in server.said) is (given is None)


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with listening(ServeConfig(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="the port is taken"), listening(ServeConfig(port=port)):
            pass
    for host in ("no.such.invalid", "127.0.0..1", "a" * 64):
        with pytest.raises(ConfigError, match="cannot be listened on"), listening(ServeConfig(host=host)):
            pass
    assert main(["serve", str(tmp_path / "nothing")]) == 2
    assert "there is no finished run here" in capsys.readouterr().err


# Without torch, whose import takes longer than all the rest.
PROGRAM = """
import signal, threading, time
from pathlib import Path
from types import SimpleNamespace
from spantune.config import ServeConfig
from spantune.data.prediction import Prediction
from spantune.web import create_app, server
from spantune.web.models import Model

class Slow:
    models = (Model("slow", Path("slow"), "Slow", 0),)
    broken = {}

    def load(self):
        return self

    def answer(self, examples, **given):
        print("asked", flush=True)
        time.sleep(1)
        said = [Prediction("0", "In", 0, 2, 1.0, 0.5, 0.0, 0.0) for _ in examples]
        return {"slow": SimpleNamespace(predictions=said, seconds=1.0)}

settings = ServeConfig(port=0)
stop = threading.Event()
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with server.listening(settings) as sock, server._on_signals(stop):
    app = create_app(settings, Slow())
    print(sock.getsockname()[1], flush=True)
    server.serve_app(app, sock, stop, lambda line: print(line, flush=True))
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM there")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_answers_what_was_asked_and_exits_with_0(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(spantune.__file__).parents[1])}
    server = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        for line in server.stdout:
            if line.startswith("ready"):
                break
        with ThreadPoolExecutor(1) as pool:

            def ask() -> int:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request("POST", "/api/answer", BODY, {"Content-Type": "application/json"})
                return connection.getresponse().status

            asked = pool.submit(ask)
            assert server.stdout.readline() == "asked\n"
            server.send_signal(signal.Signals[name])
            assert asked.result(20) == 200
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
