"""A served app in a thread, on the loopback address alone."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from made_panel import FakePanel, FakeSource, of

from spantune.config import ServeConfig
from spantune.web import create_app
from spantune.web.server import listening, serve_app

BODY = json.dumps({"questions": [{"question": "When?", "context": "In 1832."}]})


class Running:
    """A served app in a thread."""

    def __init__(self, panel: FakePanel, **settings: Any) -> None:
        self.settings = ServeConfig(port=0, **settings)
        self.app = create_app(self.settings, FakeSource(panel))
        self.stop = threading.Event()
        self.said: list[str] = []
        self._bound = listening(self.settings)
        sock = self._bound.__enter__()
        self.port = int(sock.getsockname()[1])
        self.thread = threading.Thread(target=serve_app, args=(self.app, sock, self.stop, self.said.append))
        self.thread.start()
        assert of(self.app).answerer.wait_until_loaded(20)

    def request(
        self, method: str, path: str, body: str | bytes | None = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def ask(self) -> tuple[int, Any, bytes]:
        return self.request("POST", "/api/answer", BODY)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self._bound.__exit__(None, None, None)


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def started(panel: FakePanel | None = None, **settings: Any) -> Running:
        running.append(Running(panel or FakePanel(), **settings))
        return running[-1]

    yield started
    for one in running:
        panel = of(one.app).answerer._panel
        if isinstance(panel, FakePanel) and panel.gate is not None:
            panel.gate.set()
        one.end()


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not met():
        assert time.monotonic() < end
        time.sleep(0.005)
