"""The app behind waitress: listens first, loads then, and finishes what runs before it ends."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from spantune.config import ServeConfig
from spantune.errors import ConfigError
from spantune.web.app import create_app
from spantune.web.limits import body_bytes
from spantune.web.served_models import Runs, models_in, studies_in, what_to_serve
from spantune.web.state import EXTENSION, Web

_THREADS_BESIDE = 16
"""Threads for pages and health checks, beside one for each request that waits and each that is being answered."""
_TO_FINISH = 60.0
"""Seconds that running requests have when the server is stopped."""

Say = Callable[[str], None]


def serve(settings: ServeConfig, say: Say = print) -> None:
    """Serve until SIGTERM or Ctrl-C; returns when everything that was asked is answered.

    Raises:
        RunError: there is nothing to serve. ConfigError: the address cannot be listened on.
    """
    folders = what_to_serve(settings.runs)
    models = models_in(folders)
    with listening(settings) as open_socket:
        app = create_app(settings, Runs(models, settings), studies_in(folders))
        stop = threading.Event()
        with _on_signals(stop):
            serve_app(app, open_socket, stop, say)


@contextmanager
def listening(settings: ServeConfig) -> Iterator[socket.socket]:
    """A socket that is bound to the address; ConfigError where that cannot be."""
    bare = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bare, settings.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except UnicodeError as error:  # what cannot even be asked for, such as 127.0.0..1
        raise _cannot_listen(settings, OSError("not a name of a host")) from error
    except OSError as error:
        raise _cannot_listen(settings, error) from error
    with bound:
        try:
            if os.name != "nt":  # where the option lets two programs share a port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a stopped server's port is free at once
            bound.bind(address)
            bound.listen(settings.waiting + 200)
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        yield bound


def serve_app(app: Flask, open_socket: socket.socket, stop: threading.Event, say: Say = print) -> None:
    """Serve an app on a bound socket until `stop` is set."""
    from waitress import wasyncore
    from waitress.server import create_server

    shared: Web = app.extensions[EXTENSION]
    settings = shared.settings
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # what waits is counted by the app's own queue
    behind: dict[str, Any] = {}
    if settings.proxy is not None:
        behind = {"trusted_proxy": settings.proxy, "trusted_proxy_count": 1, "clear_untrusted_proxy_headers": True}
        behind["trusted_proxy_headers"] = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
    server = create_server(
        app,
        map={},
        sockets=[open_socket],
        threads=settings.waiting + settings.batch + _THREADS_BESIDE,
        connection_limit=4 * settings.waiting + 200,
        channel_timeout=60,
        channel_request_lookahead=1,  # reads on while a request is answered, and so sees its client go
        max_request_body_size=body_bytes(settings),
        ident="spantune",
        expose_tracebacks=False,
        asyncore_use_poll=True,
        **behind,
    )
    server.channel_class = _channel()
    _announce(shared, open_socket, say)
    while not stop.is_set():
        wasyncore.loop(timeout=0.25, map=server._map, use_poll=True, count=1)
    say("stopping: what was asked is still answered")
    wasyncore.dispatcher.close(server)  # takes no connection any more; those that are there stay
    threading.Thread(target=shared.answerer.close, args=(_TO_FINISH,), daemon=True).start()
    deadline = time.monotonic() + _TO_FINISH
    while time.monotonic() < deadline and any(
        channel.requests or channel.total_outbufs_len for channel in server.active_channels.values()
    ):
        wasyncore.loop(timeout=0.05, map=server._map, use_poll=True, count=1)
    wasyncore.close_all(server._map)
    server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)
    shared.answerer.close(5)


def _channel() -> type:
    """A connection whose too large bodies the app refuses, by a page or a problem; waitress would send bare text.

    Such a body is not read: the app sees a length above its limits, and the connection is closed behind the answer.
    """
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser
    from waitress.task import ErrorTask, Task, WSGITask
    from waitress.utilities import RequestEntityTooLarge

    def refusal(channel: HTTPChannel, request: HTTPRequestParser) -> Task:
        if not isinstance(request.error, RequestEntityTooLarge):
            return ErrorTask(channel, request)
        request.headers["CONTENT_LENGTH"] = str(channel.adj.max_request_body_size + 1)
        request.headers["CONNECTION"] = "close"
        return WSGITask(channel, request)

    class Channel(HTTPChannel):
        error_task_class = staticmethod(refusal)

    return Channel


def _announce(shared: Web, open_socket: socket.socket, say: Say) -> None:
    port = open_socket.getsockname()[1]
    host = shared.settings.host.strip("[]")
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    count = len(shared.models)
    say(f"listening on {address} (Ctrl-C stops); loading {count} model{'s' * (count != 1)}")
    if shared.token is not None:
        known = "the one that was set" if shared.settings.token else shared.token  # a secret is not for logs
        say(f"token for uploads and corrections: {known} (enter it at {address}/sign-in)")

    def tell() -> None:
        if shared.answerer.wait_until_loaded():
            say(f"ready: {', '.join(shared.names)}")
        elif shared.answerer.state == "failed":
            say(f"the models could not be loaded: {shared.answerer.failure}")

    threading.Thread(target=tell, name="spantune-ready", daemon=True).start()


@contextmanager
def _on_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C set the event; a second one ends the process as usual."""

    def handle(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {one: signal.signal(one, handle) for one in numbers}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _cannot_listen(settings: ServeConfig, error: OSError) -> ConfigError:
    taken = error.errno == errno.EADDRINUSE
    return ConfigError(
        "the port is taken" if taken else "the address cannot be listened on",
        where=f"{settings.host}:{settings.port}",
        found=error.strerror or str(error),
        fix=f"--port {settings.port + 1}, or --port 0 for any free one" if taken else "another --host or --port",
    )
